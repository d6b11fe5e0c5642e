"""Clients on slow lines join many full streams while events go on; prints what they receive, and the effect on others.

    python -m tools.load.join_full --streams 200 --clients 100 --rate 1000000

The server is one process on a core of its own, the clients on slow lines are another process; 50 clients of one more
stream, in this process, time its events without and with them. Exit code 1 if a client was closed, or missed or
repeated events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from tools.load.broadcaster import rss_kib
from tools.load.event_feed import Feed
from tools.load.fan_out import Clients, percentile
from tools.load.join_clients import crowd

CLOCK = "clock"  # a stream whose events say when they were said
_SECTIONS = 60  # more than a snapshot holds
_OURS = 5  # of the crowd; the rest are raw, so that this process is not the bottleneck
_OTHERS = 50
_OTHERS_EVENTS_PER_S = 20


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
