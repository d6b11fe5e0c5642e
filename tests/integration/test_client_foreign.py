"""The protocol read by clients of other houses: Node's (its own, or `ws`), and Perl's Mojolicious."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from streamseg.server import Hub, serve
from streamseg.wire.envelope import encode_envelope
from tools.load.event_feed import Feed

EXAMPLE = Path(__file__).parents[2] / "examples" / "node_client.mjs"
PERL = Path(__file__).with_name("perl_client.pl")


async def lines(process: asyncio.subprocess.Process, n: int) -> list[str]:
    async with asyncio.timeout(60):
        return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(n)]


async def start(*command: str) -> asyncio.subprocess.Process:
    env = {"NODE_PATH": "/usr/share/nodejs"} | os.environ  # where Debian puts `ws`, whoever's Node it is
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)


async def has_client(server) -> None:
    async with asyncio.timeout(60):
        while not any(stream._clients for stream in server.hub.streams.values()):
            await asyncio.sleep(0.01)


async def test_node_hears_everything_once_through_breaks(tmp_path):
    hub = Hub(history=tmp_path / "history.sqlite")
    feed = Feed(hub)
    async with serve(hub, port=0, read_token="secret") as server:
        node = await start("node", str(EXAMPLE), f"ws://127.0.0.1:{server.port}/ws", "secret")
        try:
            await has_client(server)
            for i in range(90):
                feed.step()
                await asyncio.sleep(0.005)
                if i in (30, 60):
                    for client in tuple(server.clients):
                        client._connection.transport.abort()
            heard = await lines(node, len(feed.said))
        finally:
            node.kill()
            await node.wait()
    assert [json.loads(line) for line in heard] == [json.loads(encode_envelope(envelope)) for envelope in feed.said]


@pytest.mark.skipif(sys.platform != "linux", reason="scripts/test.sh installs Mojolicious on Debian alone")
async def test_perl_hears_everything():
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        perl = await start("perl", str(PERL), f"ws://127.0.0.1:{server.port}/ws")
        try:
            await has_client(server)
            for _ in range(30):
                feed.step()
            heard = await lines(perl, 2 + len(feed.said))
        except BaseException:
            perl.kill()
            raise
    assert (await lines(perl, 1)) == ["closed 1001"]
    await perl.wait()
    said = [json.loads(line) for line in heard]
    assert [message["op"] for message in said[:2]] == ["hello", "identified"]
    assert [message["d"] for message in said[2:]] == [json.loads(encode_envelope(envelope)) for envelope in feed.said]
