"""A client that reads slowly, or not at all, costs the others nothing and the server little."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sqlite3
import time

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from tools.load.event_feed import Feed
from tools.load.plain_client import client


@contextlib.asynccontextmanager
async def sleeper(port: int, **identify):
    """A client that is in, and reads nothing but what `read` asks for."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2**24)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    say = json.dumps({"op": "identify", "d": {"protocol": 1, **identify}}).encode()
    writer.write(b"\x81" + bytes([0x80 | 126]) + len(say).to_bytes(2, "big") + b"\0\0\0\0" + say)
    frames = Frames(reader)
    while (await frames.next())[1].get("op") != "identified":
        pass
    writer.transport.pause_reading()
    frames.transport = writer.transport
    try:
        yield frames
    finally:
        writer.transport.abort()


class Frames:
    """Frames as they come off the wire."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader

    async def next(self) -> tuple[int, dict]:
        """Opcode and message; a close frame's message is its code."""
        async with asyncio.timeout(60):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            payload = await self.reader.readexactly(size)
        if first & 15 == 8:
            return 8, {"code": int.from_bytes(payload[:2], "big")}
        return first & 15, json.loads(payload) if first & 15 == 1 else {}


def padded(n: int = 8000) -> e.Event:
    return e.Event("stream", e.StreamTitle(t=0.0, title="x" * n))


async def test_a_client_that_stops_reading_is_closed_with_4308_and_nobody_else_notices():
    hub = Hub(ServerSettings(max_queue_bytes=100_000))
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener, sleeper(server.port) as frames:
        (slow,) = [c for c in server.clients if c._connection.remote_address != listener.connection.local_address]
        most, heard = 0, 0
        for _ in range(600):
            feed.publish(padded())
            most = max(most, slow.queue_bytes)
            heard += len(await listener.events(1))
            if hub.slow_clients:
                break
        assert hub.slow_clients == 1
        assert heard == len(feed.said)
        assert most <= 100_000 + 8500
        # It finds out why, and where to go on, if it ever reads on.
        frames.transport.resume_reading()
        offsets = []
        while True:
            opcode, message = await frames.next()
            if opcode == 8:
                break
            offsets.append(message["d"]["offset"])
        assert message == {"code": 4308}
        assert offsets == list(range(1, len(offsets) + 1))
        feed.publish(padded(1))
        await listener.events(1)


async def test_a_client_that_never_reads_again_is_cut_off(monkeypatch):
    monkeypatch.setattr("streamseg.server.connection._CLOSE_TIMEOUT_S", 0.2)
    hub = Hub(ServerSettings(max_queue_bytes=50_000))
    feed = Feed(hub)
    async with serve(hub, port=0) as server, sleeper(server.port):
        async with asyncio.timeout(60):
            while not hub.slow_clients:
                feed.publish(padded())
                await asyncio.sleep(0)
            while server.clients:
                await asyncio.sleep(0.02)


async def test_high_volume_goes_first_and_is_counted():
    hub = Hub(ServerSettings(max_queue_bytes=10**6, shed_queue_bytes=20_000))
    feed = Feed(hub)
    async with serve(hub, port=0) as server, sleeper(server.port, subscribe=["meter", "stream"]) as frames:
        (slow,) = server.clients
        while slow.queue_bytes < 20_000:
            feed.publish(padded())
            await asyncio.sleep(0)
        for _ in range(50):
            feed.publish(feed.talker.meter())
        kept = feed.publish(padded(1))
        assert hub.dropped_events == 50
        frames.transport.resume_reading()
        heard = []
        while not heard or heard[-1]["d"].get("offset") != kept[0].offset:
            heard.append((await frames.next())[1])
        assert all(message["op"] == "event" for message in heard)  # nothing that has an offset was dropped
        assert [m["d"]["offset"] for m in heard] == list(range(1, len(heard) + 1))
        feed.publish(feed.talker.meter())
        assert (await frames.next())[1] == {"op": "dropped", "d": {"type": "meter", "n": 50}}
        assert (await frames.next())[1]["d"]["type"] == "streamseg.meter.v1"


async def test_a_stalled_client_of_a_quiet_stream_is_found_too():
    """Little waits for it, and the keepalive waits behind that: only looking at it tells."""
    hub = Hub(ServerSettings(heartbeat_s=0.05, stalled_s=0.3))
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener, sleeper(server.port):
        slow = next(c for c in server.clients if c._connection.remote_address != listener.connection.local_address)
        while slow.queue_bytes == 0:
            feed.publish(padded())
            await listener.events(1)
        async with asyncio.timeout(60):
            while not hub.slow_clients:
                await listener.wait_for("heartbeat")
        assert slow.queue_bytes < hub.settings.max_queue_bytes


async def test_a_slow_client_is_replayed_at_its_own_pace(tmp_path):
    """A long replay waits for the client instead of filling its queue."""
    hub = Hub(ServerSettings(max_queue_bytes=200_000), history=tmp_path / "history.sqlite")
    feed = Feed(hub)
    for _ in range(1000):
        feed.publish(padded(2000))
    async with serve(hub, port=0) as server:
        while hub.streams["mic"].offset < 1000:
            await asyncio.sleep(0.01)
        resume = {"mic": {"epoch": feed.sequencer.epoch, "offset": 0}}
        async with sleeper(server.port, resume=resume) as frames:
            (slow,) = server.clients
            async with asyncio.timeout(60):
                while not slow.queue_bytes:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # it would have filled by now
            assert 0 < slow.queue_bytes < 2 * 200_000
            feed.publish(padded(1))
            frames.transport.resume_reading()
            offsets = [(await frames.next())[1]["d"]["offset"] for _ in range(1001)]
            assert offsets == list(range(1, 1002))
            assert hub.slow_clients == 0


async def test_whoever_feeds_a_stream_never_waits_for_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "streamseg.history.sqlite_file._BUSY_TIMEOUT_S", 60.0
    )  # so long the writer waits, and nobody else
    path = tmp_path / "history.sqlite"
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        said = feed.step()
        await listener.events(len(said))
        foreign = sqlite3.connect(path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")  # nobody else can write now
        began = time.perf_counter()
        for _ in range(20):
            feed.step()
        await listener.ask("snapshot", stream="mic")  # the loop does not wait either
        assert time.perf_counter() - began < 30
        foreign.execute("ROLLBACK")
        foreign.close()
        heard = await listener.events(len(feed.said) - len(said))
        assert [d["id"] for d in heard] == [envelope.id for envelope in feed.said[len(said) :]]
        assert hub.failure is None
