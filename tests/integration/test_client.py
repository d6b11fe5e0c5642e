"""The Python client: every event once, through breaks, restarts and refusals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading

import pytest

from streamseg.client.blocking import subscribe_sync
from streamseg.client.protocol import ClientProtocol, StreamHeartbeat, StreamJoined
from streamseg.client.subscription import subscribe
from streamseg.errors import NotFoundOnServerError, ServerRefusedError
from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.messages import EventCursor, EventsDropped
from tools.load.event_feed import Feed, Talker


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


def url(server) -> str:
    return f"ws://127.0.0.1:{server.port}/ws"


async def take(subscription, n: int, timeout_s: float = 60) -> list[Envelope]:
    async with asyncio.timeout(timeout_s):
        events = []
        async with contextlib.aclosing(subscription.__aiter__()) as stream:
            while len(events) < n:
                events.append(await anext(stream))
        return events


async def test_events_come_typed_and_in_order():
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        subscription = subscribe(url(server))
        taking = asyncio.create_task(take(subscription, 10))
        while not subscription.connections:
            await asyncio.sleep(0.01)
        while len(feed.said) < 10:
            feed.step()
        assert await taking == feed.said[:10]
        assert subscription.is_recovered == {"mic": False}
        assert subscription.snapshots["mic"]["state"] == "waiting"


async def test_it_comes_back_and_misses_nothing(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        subscription = subscribe(url(server), resume={"mic": EventCursor(feed.sequencer.epoch, 0)})
        taking = asyncio.create_task(take(subscription, 400))
        while len(feed.said) < 400:
            feed.step()
            await asyncio.sleep(0.002)
            if len(feed.said) % 50 < 2:
                for client in tuple(server.clients):
                    client._connection.transport.abort()
        events = await taking
        assert events == feed.said[:400]
        assert subscription.connections > 2
        assert subscription.is_recovered == {"mic": True}


async def test_it_survives_a_restart_of_the_server(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        port = server.port
        subscription = subscribe(url(server), resume={"mic": EventCursor(feed.sequencer.epoch, 0)})
        taking = asyncio.create_task(take(subscription, 7))
        feed.publish(feed.talker.start(), feed.talker.provisional())
        while not subscription.cursors["mic"].offset:
            await asyncio.sleep(0.01)
        feed.publish(feed.talker.provisional())
    again = Hub(history=path)
    second = Feed(again)
    async with serve(again, port=port):
        second.publish(second.talker.start(), second.talker.provisional(), second.talker.stop())
        events = await taking
    interrupted = events[3]
    assert events[:3] == feed.said
    assert interrupted.data.reason == "interrupted"
    assert events[4:] == second.said


async def test_what_is_beside_the_events_can_be_had():
    hub = Hub(ServerSettings(heartbeat_s=0.05, shed_queue_bytes=65_536))
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        subscription = subscribe(url(server), subscribe=["boundary", "meter"], min_state="confirmed")
        kinds = set()
        async with asyncio.timeout(60), contextlib.aclosing(subscription.messages()) as messages:
            async for message in messages:
                kinds.add(type(message))
                if isinstance(message, StreamJoined):
                    feed.publish(feed.talker.meter())
                if {StreamJoined, StreamHeartbeat, Envelope} <= kinds:
                    break
        assert subscription.heartbeats["mic"].epoch == feed.sequencer.epoch
        assert subscription.hello["protocol"] == 1


async def test_a_blocking_program_hears_the_same(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    heard: list[Envelope] = []
    async with serve(hub, port=0) as server:
        address = url(server)
        start = EventCursor(feed.sequencer.epoch, 0)

        def block() -> None:
            for event in subscribe_sync(address, resume={"mic": start}):
                heard.append(event)
                if len(heard) == 100:
                    return

        thread = threading.Thread(target=block, daemon=True)
        thread.start()
        while len(heard) < 100:
            feed.step()
            await asyncio.sleep(0.005)
            if len(feed.said) % 40 < 2:
                for client in tuple(server.clients):
                    client._connection.transport.abort()
        await asyncio.to_thread(thread.join, 60)
    assert heard == feed.said[:100]


async def test_a_token_is_proved_and_a_wrong_one_refused():
    hub = Hub(ServerSettings(heartbeat_s=0.05))
    Feed(hub)
    async with serve(hub, port=0, read_token="secret") as server:
        for token in (None, "wrong"):
            with pytest.raises(ServerRefusedError, match="4009"):
                await take(subscribe(url(server), token=token), 1)
        async with contextlib.aclosing(subscribe(url(server), token="secret").messages()) as messages:
            assert isinstance(await anext(messages), StreamJoined)


async def test_asking_wrongly_is_not_tried_again():
    hub = Hub()
    Feed(hub)
    async with serve(hub, port=0) as server:
        with pytest.raises(NotFoundOnServerError, match="no stream 'nobody'; streams: mic"):
            await take(subscribe(url(server), streams=["nobody"]), 1)
        with pytest.raises(ServerRefusedError, match="404"):
            await take(subscribe(url(server).replace("/ws", "/wrong")), 1)
    with pytest.raises(ServerRefusedError, match="not a WebSocket address"):
        await take(subscribe("http://127.0.0.1:1/ws"), 1)


def test_waiting_doubles_with_jitter_and_ends():
    session = ClientProtocol("ws://127.0.0.1:1/ws")
    waits = [session.next_retry_delay_s() for _ in range(40)]
    assert all(0 <= wait <= 10 for wait in waits)
    assert waits[0] <= 0.1
    assert max(waits) > 2
    assert len(set(waits)) > 20


def test_the_conversation_without_a_socket():
    session = ClientProtocol("ws://x/ws", streams=["mic"], token="t")
    hello = {"op": "hello", "d": {"protocol": 1, "min_protocol": 1, "auth": None, "streams": ["mic"]}}
    _, answer = session.receive_message(json.dumps(hello))
    assert json.loads(answer)["d"]["streams"] == ["mic"]
    assert "auth" not in json.loads(answer)["d"]
    assert session.receive_message('{"op":"dropped","d":{"type":"meter","n":3}}')[0] == [EventsDropped("meter", 3)]
    assert session.receive_message('{"op":"from the future","d":{"x":1}}') == ([], None)
    said = encode_envelope(Feed(Hub()).publish(Talker().start())[0]).decode()
    session.receive_message('{"op":"event","d":' + said + "}")
    assert session.is_recorded == {"mic": True}
    session.receive_message('{"op":"event","kept":false,"d":' + said + "}")
    assert session.is_recorded == {"mic": False}
    hello["d"] |= {"protocol": 9, "min_protocol": 8}
    with pytest.raises(ServerRefusedError, match="protocol 9"):
        session.receive_message(json.dumps(hello))
