"""Fuzzing of the protocol: no crash, no hang, no leak, no response outside the contract.

Messages are fuzzed against the protocol object; handshakes and raw bytes against a real port.

    python -m tools.load.fuzz --frames 1000000 --connections 3000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import sys
import time
from pathlib import Path

import msgspec

from streamseg.server import Hub, serve
from streamseg.server.access_tokens import AccessTokens
from streamseg.server.protocol import (
    CloseConnectionAction,
    HandleRequestAction,
    JoinStreamsAction,
    ProtocolState,
    SendMessageAction,
    ServerProtocol,
)
from streamseg.settings import ServerSettings
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.codes import CloseCode, RequestErrorCode
from tools.load.fan_out import UPGRADE, make_frame
from tools.load.mutator import AUTHS, Mutator

SETTINGS = ServerSettings(messages_per_s=1e9, message_burst=10**9)


def conversation(chance: random.Random) -> ServerProtocol:
    """Make a new protocol object, with or without tokens."""
    allowed = chance.choice((AccessTokens(), AccessTokens("read", "control"), AccessTokens(None, "control")))
    hello = m.Hello(
        server="s",
        protocol=1,
        min_protocol=1,
        auth=m.AuthChallenge("hmac-sha256", "c0ffee") if allowed.has_any_token else None,
        heartbeat_s=1,
        max_queue_bytes=1,
        history=m.HistoryLimits(1, 1),
        streams=["mic", "line"],
    )
    return ServerProtocol(hello, allowed, SETTINGS, 0.0)


def check(actions: list, conn: ServerProtocol, found: dict) -> None:
    """Check that every action is in the contract and fits the state of the protocol."""
    for action in actions:
        found[type(action).__name__] = found.get(type(action).__name__, 0) + 1
        match action:
            case CloseConnectionAction(code=code, reason=reason):
                assert code in CloseCode
                assert 4000 <= code < 5000
                assert len(reason.encode()) <= 123
                assert conn.state is ProtocolState.CLOSED
                found[int(code)] = found.get(int(code), 0) + 1
            case SendMessageAction(text=text):
                said = msgspec.json.decode(text)
                assert said["op"] == "response"
                assert said["d"]["ok"] is False
                assert said["d"]["error"]["code"] in list(RequestErrorCode)
            case HandleRequestAction(request=request):
                assert isinstance(request, tuple(r.REQUEST_TYPES.values()))
                assert conn.role == "control" or not isinstance(request, r.ControlRequest)
                assert conn.state is ProtocolState.OPEN
            case JoinStreamsAction(streams=streams, resume=resume):
                assert set(streams) <= {"mic", "line"}
                assert set(resume) <= set(streams)
                conn.make_identified_actions("s", {})
            case _:
                raise AssertionError(action)


def frames(n: int, seed: int) -> dict:
    """Fuzz the protocol object with n messages; returns the findings."""
    mutator, found, began, longest = Mutator(seed), {}, time.perf_counter(), 0.0
    chance = mutator.random
    conn = conversation(chance)
    gc.collect()
    before = None
    for i in range(n):
        if conn.state is ProtocolState.CLOSED or chance.random() < 0.02:
            conn = conversation(chance)
            if chance.random() < 0.7:
                auth = chance.choice(AUTHS)
                check(
                    conn.receive_message(json.dumps({"op": "identify", "d": {"protocol": 1, "auth": auth}}), 0.0),
                    conn,
                    found,
                )
        text = mutator.message()
        start = time.thread_time()  # ours alone: this machine has other work
        actions = conn.receive_message(text, float(i))
        longest = max(longest, time.thread_time() - start)
        check(actions, conn, found)
        if i == n // 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - (before or 0)
    return {
        "frames": n,
        "seconds": round(time.perf_counter() - began, 1),
        "longest_ms": round(1000 * longest, 2),
        "rss_growth_kib": grown,
        "outcomes": {str(key): value for key, value in sorted(found.items(), key=str)},
    }


def rss_kib() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


async def handshakes(n: int, seed: int) -> dict:
    """Fuzz a real port with n broken handshakes and frames, beside a well-behaved client; returns the findings."""
    from tools.load.event_feed import Feed
    from tools.load.plain_client import client

    mutator = Mutator(seed)
    chance = mutator.random
    hub = Hub(ServerSettings(identify_timeout_s=2.0, max_connections_per_address=1000, heartbeat_s=0.2))
    feed = Feed(hub)
    feed.keep_said = False
    statuses: dict[str, int] = {}

    def raw() -> bytes:
        request = bytearray(UPGRADE)
        if chance.random() < 0.5:
            for _ in range(chance.randrange(1, 6)):
                request[chance.randrange(len(request))] = chance.randrange(256)
        data = bytes(request)
        if chance.random() < 0.2:
            data = data[: chance.randrange(len(data))]
        for _ in range(chance.randrange(4)):
            text = mutator.message()
            text = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
            frame = bytearray(make_frame(text) if len(text) < 65_536 else b"\x81\xff")
            if chance.random() < 0.4:
                frame[chance.randrange(min(14, len(frame)))] = chance.randrange(256)
            data += bytes(frame)
        return data

    async def attack() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(raw())
            async with asyncio.timeout(30):
                if chance.random() < 0.1:
                    writer.write_eof()
                    answer = await reader.read()
                else:
                    answer = await reader.read(2000)
            status = answer.split(b"\r\n")[0].decode("latin-1")[:12] if answer else "hung up"
            statuses[status] = statuses.get(status, 0) + 1
        except ConnectionError:
            statuses["reset"] = statuses.get("reset", 0) + 1
        finally:
            writer.transport.abort()

    async with serve(hub, port=0) as server, client(server.port) as witness:
        began = time.perf_counter()
        heard = offset = settled_kib = 0
        for start in range(0, n, 50):
            if start <= n // 5:
                settled_kib = rss_kib()
            await asyncio.gather(*(attack() for _ in range(min(50, n - start))))
            said = feed.step()
            heard += len(await witness.events(len(said)))
            offset = said[-1].offset
        assert heard == offset
        async with asyncio.timeout(60):
            while len(server.clients) > 1:
                await asyncio.sleep(0.05)
        took = time.perf_counter() - began
    assert all(status == "hung up" or status == "reset" or status.startswith("HTTP/1.1 ") for status in statuses)
    return {
        "connections": n,
        "seconds": round(took, 1),
        "answers": statuses,
        "witness_heard": heard,
        "rss_growth_kib": rss_kib() - settled_kib,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(frames(options.frames, options.seed)), flush=True)
    print(json.dumps(asyncio.run(handshakes(options.connections, options.seed))))
    sys.exit(0)
