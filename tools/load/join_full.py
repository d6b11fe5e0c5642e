"""Clients on slow lines join many full streams while events go on; prints what they receive, and the effect on others.

    python -m tools.load.join_full --streams 200 --clients 100 --rate 1000000

The server is one process on a core of its own, the clients on slow lines are another process; 50 clients of one more
stream, in this process, time its events without and with them. Exit code 1 if a client was closed, or missed or
repeated events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streamseg.client.session import Disconnected, Message, StreamHeartbeat, StreamJoined
from streamseg.client.subscription import Subscription
from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire.envelope import Envelope
from tools.load.broadcaster import rss_kib
from tools.load.event_feed import Feed
from tools.load.fan_out import UPGRADE, Clients, percentile
from tools.load.slow_line import slow_line

CLOCK = "clock"  # a stream whose events say when they were said
_SECTIONS = 60  # more than a snapshot holds
_OURS = 5  # of the crowd; the rest are raw, lest this process be what is slow
_OTHERS = 50
_OTHERS_EVENTS_PER_S = 20


class Progress:
    """The progress of one client: what it received and when, and its faults."""

    def __init__(self, streams: list[str]) -> None:
        self.began_s = time.monotonic()
        self.identified_s: float | None = None
        self.complete_s: float | None = None
        self.closed: list[int | None] = []
        self.faults: list[str] = []
        self.events = 0
        self.events_among = 0  # before the last snapshot
        self._wanted = set(streams)
        self._places: dict[str, tuple[str, int]] = {}

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.began_s

    def joined(self, stream: str, epoch: str, offset: int) -> None:
        if stream in self._places:
            self.faults.append(f"{stream} joined twice")
        self._places[stream] = epoch, offset
        if self.complete_s is None and self._places.keys() == self._wanted:
            self.complete_s = self.now_s

    def event(self, stream: str, epoch: str, offset: int) -> None:
        self.events += 1
        self.events_among += self.complete_s is None
        at = self._places.get(stream, ("", -1))
        if (epoch, offset) != (at[0], at[1] + 1):
            self.faults.append(f"{stream}: {at[1]}, then {offset}")
        self._places[stream] = epoch, offset

    def heartbeat(self, stream: str, epoch: str, offset: int) -> None:
        if self._places.get(stream) != (epoch, offset):
            self.faults.append(f"{stream}: a heartbeat at {offset}")

    def done(self, tail_s: float) -> bool:
        return self.complete_s is not None and self.now_s > self.complete_s + tail_s


class Joiner(Subscription):
    """A client of `streamseg.client`."""

    def __init__(self, url: str, streams: list[str]) -> None:
        super().__init__(url, streams=streams)
        self.progress = Progress(streams)

    def receive_message(self, text: str | bytes) -> tuple[list[Message], bytes | None]:
        received = super().receive_message(text)
        if self.connections and self.progress.identified_s is None:
            self.progress.identified_s = self.progress.now_s
        return received

    def take(self, message: Message) -> None:
        progress = self.progress
        match message:
            case StreamJoined(stream=stream, recovered=False, snapshot=snapshot):
                if snapshot is None or len(snapshot["recent"]) != 50:
                    progress.faults.append(f"{stream} has no full snapshot")
                progress.joined(stream, message.epoch, message.offset)
            case StreamJoined(stream=stream):
                progress.faults.append(f"{stream} says that it was there before")
            case Envelope(offset=int() as offset):
                progress.event(message.source.removeprefix("/streams/"), message.epoch, offset)
            case StreamHeartbeat(stream=stream):
                progress.heartbeat(stream, message.epoch, message.offset)
            case Disconnected(code=code):
                progress.closed.append(code)

    async def run(self, tail_s: float) -> Progress:
        """Run until everything has arrived and tail_s more have passed, or for a minute."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60), contextlib.aclosing(self.messages()) as messages:
                async for message in messages:
                    self.take(message)
                    if self.progress.done(tail_s):
                        return self.progress
        self.progress.faults.append("never complete")
        return self.progress


_SNAPSHOT = re.compile(rb'{"op":"snapshot","d":{"stream":"([^"]+)","epoch":"([^"]+)","offset":(\d+)')
_EVENT = re.compile(rb'{"op":"event".*?"source":"/streams/([^"]+)".*?"epoch":"([^"]+)","offset":(\d+)')


async def join_raw(port: int, streams: list[str], bytes_per_s: float, tail_s: float) -> Progress:
    """Run a client that reads at a fixed rate and parses as little as possible, so that many fit into one process."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    progress = Progress(streams)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=32_768)

    def take(frame: bytes) -> None:
        if found := _EVENT.match(frame):
            progress.event(found[1].decode(), found[2].decode(), int(found[3]))
        elif found := _SNAPSHOT.match(frame):
            progress.joined(found[1].decode(), found[2].decode(), int(found[3]))
        elif frame.startswith(b'{"op":"hello"'):
            d = {"protocol": 1, "streams": streams}
            writer.write(masked(json.dumps({"op": "identify", "d": d}).encode()))
        elif frame.startswith(b'{"op":"identified"'):
            progress.identified_s = progress.now_s
            for name, at in json.loads(frame)["d"]["streams"].items():
                if "snapshot" in at:
                    progress.joined(name, at["epoch"], at["offset"])
        elif frame.startswith(b'{"op":"heartbeat"'):
            for name, at in json.loads(frame)["d"]["streams"].items():
                progress.heartbeat(name, at["epoch"], at["offset"])

    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(60):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            rest, free = b"", loop.time()
            while not progress.done(tail_s):
                data = await reader.read(32_768)
                if not data:
                    break
                free = max(free, loop.time() - 0.1) + len(data) / bytes_per_s
                await asyncio.sleep(free - loop.time())
                frames, rest = split_frames(rest + data)
                for opcode, payload in frames:
                    if opcode == 1:
                        take(payload)
                    elif opcode == 8:
                        progress.closed.append(int.from_bytes(payload[:2], "big"))
                    elif opcode == 9:
                        writer.write(b"\x8a" + bytes([0x80 | len(payload)]) + b"\0\0\0\0" + payload)
    if progress.complete_s is None:
        progress.faults.append("never complete")
    writer.transport.abort()
    return progress


def masked(text: bytes) -> bytes:
    """Make a client's text frame of 126 to 65,535 bytes, whose mask is zeros."""
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Split data into its complete frames (opcode, payload) and the rest."""
    frames, at = [], 0
    while len(data) - at >= 2:
        size, body = data[at + 1] & 127, at + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : body], "big")
        if body + size > len(data):
            break
        frames.append((data[at] & 15, data[body : body + size]))
        at = body + size
    return frames, data[at:]


async def crowd(port: int, streams: list[str], ours: int, raw: int, bytes_per_s: float, tail_s: float = 1.0) -> dict:
    """Join clients at once, each on a line of its own: ours through a relay, and raw ones that read slowly."""
    began = time.process_time(), time.monotonic()
    async with slow_line(port, bytes_per_s) as slow_port:
        progresses = await asyncio.gather(
            *(Joiner(f"ws://127.0.0.1:{slow_port}/ws", streams).run(tail_s) for _ in range(ours)),
            *(join_raw(port, streams, bytes_per_s, tail_s) for _ in range(raw)),
        )
    cpu = (time.process_time() - began[0]) / (time.monotonic() - began[1])
    identified = [progress.identified_s or 999.0 for progress in progresses]
    complete = [progress.complete_s or 999.0 for progress in progresses]
    return {
        "clients": {"streamseg.client.session": ours, "raw": raw},
        "streams": len(streams),
        "bytes_per_s": bytes_per_s,
        "identified_s": {"median": round(percentile(identified, 0.5), 3), "most": round(max(identified), 3)},
        "complete_s": {"median": round(percentile(complete, 0.5), 2), "most": round(max(complete), 2)},
        "closed": [code for progress in progresses for code in progress.closed],
        "faults": [fault for progress in progresses for fault in progress.faults],
        "events": sum(progress.events for progress in progresses),
        "events_among_snapshots": sum(progress.events_among for progress in progresses),
        "crowd_cpu": round(cpu, 2),
    }


async def fill(hub: Hub, streams: list[str]) -> list[Feed]:
    """Fill streams with more closed sections than a snapshot has. A hub with a history must be open."""
    feeds = [Feed(hub, name, seed=n) for n, name in enumerate(streams)]
    for feed in feeds:
        feed.keep_said = False
        feed.publish(feed.talker.start())
        while feed.talker.section < _SECTIONS:
            feed.step()
    while any(hub.streams[feed.stream].offset != feed.sequencer.offset for feed in feeds):
        await asyncio.sleep(0.02)
    return feeds


async def talk(feeds: list[Feed], steps_per_s: float, clock: Feed | None = None) -> None:
    """Publish plausible events on each stream at this rate; those of the clock stream carry the time of publication."""
    began = time.monotonic()
    said = ticks = 0
    while True:
        now = time.monotonic() - began
        while said < now * steps_per_s * len(feeds):
            feeds[said % len(feeds)].step()
            said += 1
        while clock is not None and ticks < now * _OTHERS_EVENTS_PER_S:
            clock.publish(e.Event("stream", e.StreamTitle(t=time.monotonic(), title="tick")))
            ticks += 1
        await asyncio.sleep(0.005)


async def be_server(options: argparse.Namespace) -> None:
    settings = ServerSettings(max_connections_per_address=1000, heartbeat_s=options.heartbeat_s)
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(settings, history=Path(folder) / "history.sqlite")
        async with serve(hub, port=0) as server:
            feeds = await fill(hub, names(options.streams))
            clock = Feed(hub, CLOCK)
            clock.keep_said = False
            clock.publish(clock.talker.start())
            print(server.port, flush=True)
            loop = asyncio.get_running_loop()
            turns = Turns(loop)
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            talking = asyncio.create_task(talk(feeds, options.steps_per_s, clock))
            phases: dict[str, dict] = {}
            while line := await reader.readline():  # each names the phase that ends with it
                phases[line.decode().strip()] = turns.phase()
            talking.cancel()
            print(json.dumps({**phases, "slow_clients": hub.slow_clients}), flush=True)


class Turns:
    """The CPU time of the turns of an event loop, which shows the delay of others on a busy machine too."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns_s: list[float] = []
        run_once = loop._run_once  # type: ignore[attr-defined]

        def timed() -> None:
            began = time.thread_time()
            run_once()
            self._turns_s.append(time.thread_time() - began)

        loop._run_once = timed  # type: ignore[attr-defined]

    def phase(self) -> dict:
        """Return the statistics since the last call."""
        turns, self._turns_s = self._turns_s, []
        return {
            "cpu_s": round(sum(turns), 2),
            "turn_ms": {name: round(1000 * percentile(turns, q), 2) for name, q in (("p99", 0.99), ("most", 1))},
            "rss_kib": rss_kib(),
        }


def names(n: int) -> list[str]:
    return [f"stream-{i:03}" for i in range(n)]


def time_others(others: Clients, until: Callable[[], bool]) -> dict:
    """Return the delays of the other clients, which are new each time, until `until()` returns."""
    others.latencies_s.clear()
    while not until():
        others.read(0.05)
    found = others.latencies_s
    return {
        "events": len(found),
        **{
            f"{name}_ms": round(1000 * percentile(found, q), 1)
            for name, q in (("p50", 0.5), ("p99", 0.99), ("most", 1))
        },
    }


def main(options: argparse.Namespace) -> dict:
    """Run one campaign."""
    cores = sorted(os.sched_getaffinity(0))

    def start(role: str, *arguments: str, **pipes) -> subprocess.Popen:
        command = [sys.executable, "-m", "tools.load.join_full", "--role", role, *arguments]
        for name in ("streams", "clients", "rate", "steps_per_s", "heartbeat_s"):
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, **pipes)

    server = start("server", stdin=subprocess.PIPE)
    os.sched_setaffinity(server.pid, cores[:1])
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    try:
        port = int(server.stdout.readline())
        others = Clients(port, _OTHERS, streams=[CLOCK])

        def phase(name: str, until: Callable[[], bool]) -> dict:
            found = time_others(others, until)
            server.stdin.write(name + "\n")
            server.stdin.flush()
            print(f"{name}: {found}", file=sys.stderr, flush=True)
            return found

        def for_s(seconds: float) -> Callable[[], bool]:
            ends = time.monotonic() + seconds
            return lambda: time.monotonic() > ends

        phase("warm up", for_s(2))
        timed = {"before": phase("before", for_s(options.seconds))}
        joining = start("crowd", "--port", str(port))
        timed["crowd"] = phase("crowd", lambda: joining.poll() is not None)
        found = json.loads(joining.stdout.read())
        timed["after"] = phase("after", for_s(options.seconds))
        others.close()
        server.stdin.close()
        return {**found, "others": timed, "server": json.loads(server.stdout.readline())}
    finally:
        server.kill()
        server.wait()


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int, default=200)
    options.add_argument("--clients", type=int, default=100)
    options.add_argument("--rate", type=float, default=1e6, help="bytes a second that each client's line carries")
    options.add_argument("--steps-per-s", type=float, default=0.5, help="of each stream; one to three events each")
    options.add_argument("--heartbeat-s", type=float, default=2.0)
    options.add_argument("--seconds", type=float, default=10.0, help="how long the others are timed without the crowd")
    options.add_argument("--role", choices=["all", "server", "crowd"], default="all", help=argparse.SUPPRESS)
    options.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return options


def run(options: argparse.Namespace) -> int:
    match options.role:
        case "server":
            asyncio.run(be_server(options))
        case "crowd":
            ours = min(options.clients, _OURS)
            found = asyncio.run(crowd(options.port, names(options.streams), ours, options.clients - ours, options.rate))
            print(json.dumps(found))
        case _:
            found = main(options)
            print(json.dumps({**found, "faults": found["faults"][:10]}, indent=1))
            return bool(found["closed"] or found["faults"])
    return 0


if __name__ == "__main__":
    sys.exit(run(parser().parse_args()))
