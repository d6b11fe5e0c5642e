"""Clients and streams on one port: everybody hears everything that they asked for."""

from __future__ import annotations

import asyncio

from integration.event_json import as_json

from streamseg.server import Hub, StreamProgress, serve
from streamseg.settings import ServerSettings
from tools.load.event_feed import Feed, Talker
from tools.load.plain_client import client


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
