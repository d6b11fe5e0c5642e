"""Clients and streams on one port: everybody hears everything, whatever the others do."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time

import msgspec
import pytest

from streamseg.errors import PortInUseError, ServerError, UsageError
from streamseg.server import Hub, StreamProgress, serve
from streamseg.server.label_alarm_registry import LabelAndAlarmRegistry, UnknownLabelOrAlarmError
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer, encode_envelope
from tools.load.event_feed import Feed, Talker
from tools.load.plain_client import client, stranger


def as_json(envelopes) -> list[dict]:
    return [json.loads(encode_envelope(envelope)) for envelope in envelopes]


async def test_several_clients_hear_several_streams():
    hub = Hub()
    mic, line = Feed(hub, "mic", 1), Feed(hub, "line", 2)
    async with serve(hub, port=0) as server, client(server.port) as both, client(server.port, streams=["line"]) as one:
        for _ in range(20):
            mic.step()
            line.step()
        heard = await both.events(len(mic.said) + len(line.said))
        assert [d for d in heard if d["source"] == "/streams/mic"] == as_json(mic.said)
        assert [d for d in heard if d["source"] == "/streams/line"] == as_json(line.said)
        assert await one.events(len(line.said)) == as_json(line.said)
        assert both.hello["streams"] == ["mic", "line"]
        assert set(one.identified["streams"]) == {"line"}


async def test_a_part_only_and_only_what_is_certain():
    hub = Hub()
    feed = Feed(hub)
    wish = {"subscribe": ["boundary", "sound"], "min_state": "confirmed"}
    async with serve(hub, port=0) as server, client(server.port, **wish) as some:
        for _ in range(40):
            feed.step()
        wanted = [d for d in as_json(feed.said) if d["type"].split(".")[1] in ("boundary", "sound")]
        wanted = [d for d in wanted if "provisional" not in d["type"]]
        assert await some.events(len(wanted)) == wanted
        assert any(d["type"].startswith("streamseg.sound") for d in wanted)


async def test_high_volume_only_where_it_is_asked_for():
    hub = Hub()
    feed = Feed(hub)
    async with (
        serve(hub, port=0) as server,
        client(server.port) as plain,
        client(server.port, subscribe=["meter"]) as meters,
    ):
        feed.publish(feed.talker.meter())
        (meter,) = await meters.events(1)
        assert meter["type"] == "streamseg.meter.v1"
        assert "offset" not in meter
        feed.publish(feed.talker.provisional())
        assert (await plain.events(1))[0]["type"] == "streamseg.boundary.provisional.v1"
        assert (await plain.ask("subscribe", subscribe=["meter"]))["ok"]
        assert (await meters.ask("unsubscribe", subscribe=["meter"]))["subscribe"] == []
        feed.publish(feed.talker.meter())
        assert (await plain.events(1))[0]["type"] == "streamseg.meter.v1"


async def test_a_heartbeat_comes_after_everything_before_it():
    hub = Hub(ServerSettings(heartbeat_s=0.05))
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        heard = 0
        beats = 0
        for _ in range(200):
            feed.step()
            await asyncio.sleep(0.002)
        while heard < len(feed.said):
            message = await listener.hear()
            if message["op"] == "event":
                heard = message["d"]["offset"]
            else:
                beat = message["d"]["streams"]["mic"]
                assert beat["offset"] == heard
                assert beat["epoch"] == feed.sequencer.epoch
                beats += 1
        assert beats > 3
        last = (await listener.wait_for("heartbeat"))["streams"]["mic"]
        assert last == {
            "epoch": feed.sequencer.epoch,
            "t": feed.talker.t,
            "watermark": feed.talker.t - 8,
            "lag_s": 0.0,
            "offset": len(feed.said),
            "dropped_samples": 0,
            "kept": True,
        }


async def test_a_newcomer_is_handed_the_state():
    hub = Hub()
    feed = Feed(hub)
    feed.publish(feed.talker.start())
    for _ in range(10):
        feed.step()
    feed.publish(feed.talker.provisional())
    async with serve(hub, port=0) as server, client(server.port) as listener:
        where = listener.identified["streams"]["mic"]
        assert where["offset"] == len(feed.said)
        assert where["recovered"] is False
        snapshot = where["snapshot"]
        assert snapshot["state"] == "live"
        assert snapshot["section"]["section_id"] == f"s-{feed.talker.section}"
        assert [b["boundary_id"] for b in snapshot["open"]] == [f"b-{feed.talker.section}"]
        assert [s["section_id"] for s in snapshot["recent"]] == [f"s-{i}" for i in range(feed.talker.section)]
        assert (await listener.ask("snapshot", stream="mic"))["snapshot"] == snapshot


async def test_control_reaches_whoever_feeds_the_stream():
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0, control_token="secret") as server, client(server.port, token="secret") as listener:
        assert listener.identified["role"] == "control"
        assert (await listener.ask("mark", stream="mic", t=3.5, verdict="reject"))["ok"]
        assert (await listener.ask("reset", stream="mic"))["ok"]
        await listener.events(len(feed.publish(*feed.talker.change())))
        await listener.say("request", {"id": 2, "type": "name", "stream": "mic", "label": "A", "name": "news"})
        (named,) = [d for d in await listener.events(1) if d["type"] == e.LabelNamed.type]
        assert named["data"]["name"] == "news"
        assert (await listener.wait_for("response"))["id"] == 2
        assert feed.asked[:2] == [("mark", 3.5, "reject"), ("reset",)]
        hub.remove_stream_controls("mic")
        refused = await listener.ask("finish", stream="mic")
        assert (refused["ok"], refused["error"]["code"]) == (False, 205)


async def test_what_does_not_exist_is_refused_with_what_does():
    """A name for a label that was never said in this epoch, and notice of an alarm that is not raised."""
    hub = Hub()
    feed = Feed(hub)

    async def refusal(type: str, **d) -> str:
        answer = await listener.ask(type, stream="mic", **d)
        assert (answer["ok"], answer["error"]["code"]) == (False, 600)
        return answer["error"]["message"]

    def update(label: str) -> e.Event:
        section = {"section_id": "s-9", "name": None, "seen_before": False, "last_seen": None}
        return e.Event("s-9", e.SectionUpdated(label=label, label_probabilities={}, **section))

    async with serve(hub, port=0, control_token="secret") as server, client(server.port, token="secret") as listener:
        feed.publish(feed.talker.start())
        assert "labels: none yet" in await refusal("name", label="A", name="news")
        assert "raised: none yet" in await refusal("acknowledge", alarm="silence")
        feed.publish(*(update(label) for label in ("B", "AA", "C")))
        feed.publish(e.Event("s-1", e.SectionRelabelled(section_id="s-1", label="B", previous="D")))
        feed.publish(e.Event("clipping", e.AlarmRaised(alarm="clipping", since=1.0, level_db=0.0)))
        assert "labels: B, C, D, AA" in await refusal("name", label="A", name="news")
        assert "raised: clipping" in await refusal("acknowledge", alarm="silence")
        assert feed.asked == []
        for label in ("B", "D", "AA"):  # a label that was joined to another still names its sections
            feed.publish(update("C"))
            assert (await listener.ask("name", stream="mic", label=label, name="news"))["ok"]
        assert (await listener.ask("acknowledge", stream="mic", alarm="clipping"))["ok"]
        feed.publish(e.Event("clipping", e.AlarmCleared(alarm="clipping", since=1.0, level_db=-3.0)))
        assert "raised: none" in await refusal("acknowledge", alarm="clipping")
        feed.reset()
        assert "labels: none yet" in await refusal("name", label="B", name="news")


def test_labels_that_can_be_named_are_bounded():
    labels_and_alarms = LabelAndAlarmRegistry()
    sequencer = EventSequencer("mic", "E", time.time)
    talker = Feed(Hub()).talker
    _, closed = talker.change()
    for n in range(1500):
        (said,) = sequencer.stamp_events([e.Event("s", msgspec.structs.replace(closed.data, label=f"L{n}"))])
        labels_and_alarms.apply_event(said)
    labels_and_alarms.check_label("mic", "L500")
    with pytest.raises(UnknownLabelOrAlarmError, match=r"L500, L501, .* and 970 more"):
        labels_and_alarms.check_label("mic", "L499")


GARBAGE = [
    b"\x00\xff\xfe",
    "not json",
    "[]",
    '{"op":"identify"}',
    '{"op":"identify","d":{"protocol":99}}',
    '{"op":"shout","d":{}}',
    '{"op":"request","d":{"id":1,"type":"snapshot","stream":"mic"}}',
    "x" * 100_000,
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_client_that_sends_garbage_disturbs_nobody(garbage):
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener, stranger(server.port) as rude:
        await rude.connection.send(garbage)
        assert await rude.closed() in (1009, 4002, 4003, 4004, 4006, 4007, 4010)
        feed.step()
        assert await listener.events(len(feed.said)) == as_json(feed.said)


async def test_clients_killed_mid_stream_disturb_nobody():
    hub = Hub()
    feed = Feed(hub)
    chance = random.Random(3)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        doomed = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            masked = bytearray(b'{"op":"identify","d":{"protocol":1}}')
            writer.write(b"\x81" + bytes([0x80 | len(masked)]) + b"\0\0\0\0" + masked)
            doomed.append(writer)
        for _ in range(100):
            feed.step()
            await asyncio.sleep(0.002)
            if doomed and chance.random() < 0.4:
                victim = doomed.pop()
                # A reset instead of a goodbye: what a killed process leaves behind.
                victim.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                victim.transport.abort()
        assert await listener.events(len(feed.said)) == as_json(feed.said)
        assert len(server.clients) == 1 + len(doomed)
        for writer in doomed:
            writer.transport.abort()


async def test_nobody_who_never_identifies_stays():
    hub = Hub(ServerSettings(identify_timeout_s=1.5))
    Feed(hub)
    async with serve(hub, port=0) as server:
        async with stranger(server.port) as silent:
            assert await silent.closed() == 4007
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # and never goes on
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()


async def test_too_many_messages():
    hub = Hub(ServerSettings(messages_per_s=5, message_burst=10))
    Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as hasty:
        for i in range(20):
            await hasty.say("request", {"id": i, "type": "snapshot", "stream": "mic"})
        assert await hasty.closed() == 4029


async def test_too_many_connections_of_one_address():
    hub = Hub(ServerSettings(max_connections_per_address=2))
    Feed(hub)
    async with serve(hub, port=0) as server, client(server.port):
        async with client(server.port):
            with pytest.raises(Exception, match="429"):
                async with stranger(server.port):
                    pass
        async with client(server.port):
            pass


async def test_a_port_in_use():
    async with serve(Hub(), port=0) as server:
        with pytest.raises(PortInUseError, match=rf"port {server.port} on 127.0.0.1 is in use"):
            async with serve(Hub(), port=server.port):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_off_loopback_takes_a_token_and_tls(host):
    with pytest.raises(UsageError, match="needs a token"):
        async with serve(Hub(), host, 0):
            pass
    with pytest.raises(UsageError, match="needs TLS"):
        async with serve(Hub(), host, 0, read_token="r"):
            pass


async def test_an_address_that_is_not_ours():
    with pytest.raises(ServerError, match="cannot listen on"):
        async with serve(Hub(), "192.0.2.1", 0, read_token="r", insecure=True):
            pass


async def test_what_is_pending_is_sent_before_the_server_ends():
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        connected = client(server.port)
        listener = await connected.__aenter__()
        for _ in range(50):
            feed.step()
        feed.publish(feed.talker.stop())
    assert await listener.events(len(feed.said)) == as_json(feed.said)
    assert await listener.closed() == 1001


def test_a_talker_says_the_same_again():
    assert [Talker(4).say() for _ in range(9)] == [Talker(4).say() for _ in range(9)]
    assert StreamProgress(1, 1) == StreamProgress(1.0, 1.0)
