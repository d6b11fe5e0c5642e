"""A server process that publishes events at a fixed rate and measures its own cost.

`--bare` measures the reference: the same text through a loop over `websockets.broadcast`. Commands are lines on
standard input: `go RATE SECONDS PAD`, `rss`, `quit`; results are lines of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import time
from pathlib import Path

from websockets.asyncio.server import broadcast
from websockets.asyncio.server import serve as serve_bare
from websockets.exceptions import ConnectionClosed

from streamseg.server import Hub, StreamProgress, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer, encode_envelope
from streamseg.wire.frames import encode_event_message


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_kib(which: str = "VmRSS") -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1])
    return 0


async def talk(publish, rate: float, seconds: float, pad: int) -> dict:
    """Publish at an even rate; the `t` of each event is the time at which it is published."""
    n, began, cpu, latest = int(rate * seconds), time.monotonic(), cpu_s(), 0.0
    for i in range(n):
        due = began + i / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        latest = max(latest, time.monotonic() - due)
        publish(e.Event("stream", e.StreamTitle(t=time.monotonic(), title="x" * pad)))
    took = time.monotonic() - began
    await asyncio.sleep(1.0)  # what is still on its way belongs to the cost
    return {
        "events": n,
        "seconds": took,
        "cpu_s": cpu_s() - cpu,
        "latest_s": latest,
        "rss_kib": rss_kib(),
        "rss_peak_kib": rss_kib("VmHWM"),
    }


async def obey(publish) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).split():
        match line:
            case [b"go", rate, seconds, pad]:
                print(json.dumps(await talk(publish, float(rate), float(seconds), int(pad))), flush=True)
            case [b"rss"]:
                print(json.dumps({"rss_kib": rss_kib(), "cpu_s": cpu_s()}), flush=True)
            case _:
                return


async def main(options: argparse.Namespace) -> None:
    sequencer = EventSequencer("mic", "01LOAD", time.time)
    if options.bare:

        async def keep(connection) -> None:
            with contextlib.suppress(ConnectionClosed):
                await connection.send('{"op":"hello"}')
                async for _ in connection:
                    await connection.send('{"op":"identified"}')

        async with serve_bare(keep, "127.0.0.1", 0, compression=None) as server:
            print(server.sockets[0].getsockname()[1], flush=True)

            def publish(event: e.Event) -> None:
                for envelope in sequencer.stamp_events([event]):
                    broadcast(server.connections, encode_event_message(encode_envelope(envelope)).decode())

            await obey(publish)
        return
    settings = ServerSettings(max_connections_per_address=20_000, heartbeat_s=15)
    hub = Hub(settings, history=options.history)
    hub.add_stream("mic", "01LOAD")
    async with serve(hub, port=0) as ours:
        print(ours.port, flush=True)
        await obey(lambda event: hub.publish("mic", sequencer.stamp_events([event]), StreamProgress(0.0, 0.0)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--history", type=Path)
    asyncio.run(main(parser.parse_args()))
