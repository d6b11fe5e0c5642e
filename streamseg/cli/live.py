"""The live path: a worker thread per stream hears, the event loop tells.

    source ▸ Hearing (worker thread) ▸ call_soon_threadsafe ▸ hub ▸ clients
                                                            └▸ the terminal

A worker never waits for the loop. Stopping closes the sources; what they had given is heard to the end and what
is pending is said before anything ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamseg.cli import terminal
from streamseg.cli.hearing import Hearing
from streamseg.cli.standard_streams import tolerate_standard_output
from streamseg.cli.stopping import on_signals
from streamseg.cli.summary import Tally
from streamseg.engine import Segmenter
from streamseg.envelope import Envelope
from streamseg.errors import AskedWrongly, OutputFailed, PortInUse, SourceFailed
from streamseg.server import Hub, Position, serve
from streamseg.settings import ServerSettings, settings_for
from streamseg.sources import Recorded

Tell = Callable[[Hearing, list[Envelope]], None]

DEFAULT_PORT = 8765
_POSITION_EVERY_S = 0.1
_WARM_UP_RATE = 48_000  # Hz


@dataclass(frozen=True)
class Port:
    """Where and how to serve.

    or_free: take any free port when this one is taken. stay: serve on after the last source has ended.
    history: the file to keep events in. options: for the server, as they are.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    or_free: bool = False
    stay: bool = False
    settings: ServerSettings | None = None
    history: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)


def run(
    hearings: Sequence[Hearing], tell: Tell, port: Port | None, opened: Callable[[str], None] | None = None
) -> None:
    """Hear all streams to their ends or until stopped, serving them at `port` if there is one.

    tell: called on the event loop with what a stream said. opened: with the page's address.
    Raises what the server raises; a stream's own failure is left in `Hearing.failure`.
    """
    refuse_same_names([hearing.stream for hearing in hearings])
    with tolerate_standard_output():
        asyncio.run(_run(hearings, tell, port, opened))


def refuse_same_names(names: Sequence[str]) -> None:
    """Raise AskedWrongly when two streams have one name."""
    for name in set(names):
        if names.count(name) > 1:
            raise AskedWrongly(
                f"{names.count(name)} streams would be called {name!r}; name them: one=SOURCE two=SOURCE"
            )


async def _run(
    hearings: Sequence[Hearing], tell: Tell, port: Port | None, opened: Callable[[str], None] | None
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        for hearing in hearings:
            hearing.finish()
        loop.call_soon_threadsafe(stopped.set)

    hub = Hub(port.settings, history=port.history) if port else None
    async with AsyncExitStack() as stack:
        stack.enter_context(on_signals(stop))
        address = None
        if port and hub:
            for hearing in hearings:
                hub.add_stream(hearing.stream, hearing.epoch, hearing, source=hearing.source.name)
            address = await _open(stack, hub, port)
        await asyncio.to_thread(warm_up)
        if address and opened:
            opened(address)
        await _hear(hearings, hub, tell, stop)
        if port and port.stay and not stopped.is_set():
            terminal.err.print("every source has ended; serving on until Ctrl-C")
            await stopped.wait()


async def _open(stack: AsyncExitStack, hub: Hub, port: Port) -> str:
    """Serve the hub; the page's address."""
    try:
        server = await stack.enter_async_context(serve(hub, port.host, port.port, **port.options))
    except PortInUse:
        if not port.or_free:
            raise
        server = await stack.enter_async_context(serve(hub, port.host, 0, **port.options))
    secure = port.options.get("tls") is not None
    host = f"[{port.host}]" if ":" in port.host else port.host
    return f"http{'s' if secure else ''}://{host}:{server.port}/"


async def _hear(hearings: Sequence[Hearing], hub: Hub | None, tell: Tell, stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    failures: list[Exception] = []

    def publish(hearing: Hearing, envelopes: list[Envelope], position: Position) -> None:
        try:
            if hub:
                hub.publish(hearing.stream, envelopes, position)
            tell(hearing, envelopes)
        except Exception as error:  # a terminal that was closed, say: everything ends, nothing is swallowed
            failures.append(error)
            stop()

    def work(hearing: Hearing) -> None:
        told = 0.0
        failure: Exception | None = None
        try:
            for envelopes in hearing:
                now = time.monotonic()
                if envelopes or now - told > _POSITION_EVERY_S:
                    told = now
                    loop.call_soon_threadsafe(publish, hearing, envelopes, hearing.position)
        except Exception as error:  # a fault of ours; the other streams go on
            failures.append(error)
            failure = error
        loop.call_soon_threadsafe(ended, hearing, failure or hearing.failure)

    def ended(hearing: Hearing, failure: Exception | None) -> None:
        if hub:
            hub.close_stream(hearing.stream)
        if failure and len(hearings) > 1:
            terminal.err.print(f"streamseg: {hearing.stream}: {failure}")

    with ThreadPoolExecutor(len(hearings), "hear") as workers:
        await asyncio.gather(*(loop.run_in_executor(workers, work, hearing) for hearing in hearings))
    if failures:
        raise failures[0]


def warm_up() -> None:
    """Load or compile all kernels before the first sample is taken, and print how long it took.

    The engine processes noise, a tone and noise again, so that two sections close and a third is compared with the
    first: some kernels run only then, and compiling them at that moment would overflow the ring buffer.
    """
    began = time.perf_counter()
    with terminal.busy(f"warming up ({terminal.slow_start()})"):
        engine = Segmenter(sample_rate=_WARM_UP_RATE, settings=settings_for("broadcast"), telemetry=True)
        noise = 0.1 * np.random.default_rng(0).standard_normal((_WARM_UP_RATE, 2))
        second = np.arange(_WARM_UP_RATE) / _WARM_UP_RATE
        tone = 0.1 * np.sin(2 * np.pi * 440 * second)[:, None].repeat(2, axis=1) + 1e-3 * noise
        for sound in (noise, tone, noise):
            for _ in range(12):
                engine.push(sound)
        engine.finish()
    terminal.err.print(f"ready after {time.perf_counter() - began:.1f} s")


def show(hearings: Sequence[Hearing], port: Port | None) -> None:
    """Run, print lines for people and a summary. Raises what `run` does, and what a stream failed of."""
    tallies = {hearing.stream: Tally() for hearing in hearings}
    prefix = {hearing.stream: f"{hearing.stream:>12} " if len(hearings) > 1 else "" for hearing in hearings}

    def tell(hearing: Hearing, envelopes: list[Envelope]) -> None:
        tallies[hearing.stream].push(envelopes)
        terminal.print_lines(envelopes, prefix[hearing.stream])

    run(hearings, tell, port, terminal.print_address)
    for hearing in hearings:
        if hearing.position.t or not hearing.failure:  # of one in which nothing was heard, the failure says it all
            terminal.err.print(f"{hearing.stream}: {tallies[hearing.stream]}")
    settle(hearings)


def settle(hearings: Sequence[Hearing]) -> None:
    """Raise what went wrong in the streams, if anything did."""
    failures = {hearing.stream: hearing.failure for hearing in hearings if hearing.failure}
    if failures and len(hearings) > 1:
        raise SourceFailed(f"{len(failures)} of {len(hearings)} streams failed: {', '.join(failures)}")
    for failure in failures.values():
        raise failure
    captures = [hearing.source for hearing in hearings if isinstance(hearing.source, Recorded)]
    incomplete = [str(capture.failure) for capture in captures if capture.failure]
    if incomplete:
        raise OutputFailed("; ".join(incomplete))
