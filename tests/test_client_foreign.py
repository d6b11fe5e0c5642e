"""The protocol read by clients of other houses: Node's own WebSocket, and Java's."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from load.station import Feed

from streamseg.envelope import encode
from streamseg.server import Hub, serve

EXAMPLE = Path(__file__).parents[1] / "examples" / "node_client.mjs"
JAVA = """
import java.net.URI;
import java.net.http.*;
import java.util.concurrent.*;

public class Hear implements WebSocket.Listener {
    static final CountDownLatch done = new CountDownLatch(1);
    final StringBuilder text = new StringBuilder();

    public static void main(String[] a) throws Exception {
        HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("streamseg.v1.json")
            .buildAsync(URI.create(a[0]), new Hear()).join();
        done.await(20, TimeUnit.SECONDS);
    }

    @Override public CompletionStage<?> onText(WebSocket s, CharSequence part, boolean last) {
        text.append(part);
        if (last) {
            String said = text.toString();
            text.setLength(0);
            if (said.startsWith("{\\"op\\":\\"hello\\""))
                s.sendText("{\\"op\\":\\"identify\\",\\"d\\":{\\"protocol\\":1,\\"client\\":\\"java\\"}}", true);
            System.out.println(said);
        }
        s.request(1);
        return null;
    }

    @Override public CompletionStage<?> onClose(WebSocket s, int code, String reason) {
        System.out.println("closed " + code);
        done.countDown();
        return null;
    }
}
"""


async def lines(process: asyncio.subprocess.Process, n: int) -> list[str]:
    async with asyncio.timeout(30):
        return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(n)]


async def start(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )


async def has_client(server) -> None:
    async with asyncio.timeout(30):
        while not any(stream._listeners for stream in server.hub.streams.values()):
            await asyncio.sleep(0.01)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_node_hears_everything_once_through_breaks(tmp_path):
    hub = Hub(history=tmp_path / "history.sqlite")
    feed = Feed(hub)
    async with serve(hub, port=0, read_token="secret") as server:
        node = await start(
            "node",
            "--no-warnings",
            "--experimental-websocket",
            str(EXAMPLE),
            f"ws://127.0.0.1:{server.port}/ws",
            "secret",
        )
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
    assert [json.loads(line) for line in heard] == [json.loads(encode(envelope)) for envelope in feed.said]


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
async def test_java_hears_everything(tmp_path):
    source = tmp_path / "Hear.java"
    source.write_text(JAVA)
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        java = await start("java", str(source), f"ws://127.0.0.1:{server.port}/ws")
        try:
            await has_client(server)
            for _ in range(30):
                feed.step()
            heard = await lines(java, 2 + len(feed.said))
        except BaseException:
            java.kill()
            raise
    assert (await lines(java, 1)) == ["closed 1001"]
    await java.wait()
    said = [json.loads(line) for line in heard]
    assert [message["op"] for message in said[:2]] == ["hello", "identified"]
    assert [message["d"] for message in said[2:]] == [json.loads(encode(envelope)) for envelope in feed.said]
