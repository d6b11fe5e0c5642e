"""Clients that send garbage, are killed, say nothing or say too much disturb nobody else."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest
from integration.event_json import as_json

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from tools.load.event_feed import Feed
from tools.load.fan_out import UPGRADE, make_frame
from tools.load.plain_client import client, stranger

GARBAGE = [
    (b"\x00\xff\xfe", 4002),
    ("not json", 4002),
    ("[]", 4004),
    ('{"op":"identify"}', 4003),
    ('{"op":"identify","d":{"protocol":99}}', 4010),
    ('{"op":"shout","d":{}}', 4006),
    ('{"op":"request","d":{"id":1,"type":"snapshot","stream":"mic"}}', 4007),
    ("x" * 100_000, 1009),
]


@pytest.mark.parametrize(("garbage", "closed_with"), GARBAGE)
async def test_a_client_that_sends_garbage_disturbs_nobody(garbage, closed_with):
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener, stranger(server.port) as rude:
        await rude.connection.send(garbage)
        assert await rude.closed() == closed_with
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
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(make_frame(b'{"op":"identify","d":{"protocol":1}}'))
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
