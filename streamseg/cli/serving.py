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
from streamseg.cli.signals import handle_stop_signals
from streamseg.cli.standard_streams import tolerate_standard_output
from streamseg.cli.summary import EventSummary
from streamseg.engine import Segmenter
from streamseg.errors import OutputError, PortInUseError, SourceError, UsageError
from streamseg.live.session import Session
from streamseg.server import Hub, StreamProgress, serve
from streamseg.settings import ServerSettings, make_settings
from streamseg.sources import RecordingSource
from streamseg.wire.envelope import Envelope

EventCallback = Callable[[Session, list[Envelope]], None]

DEFAULT_PORT = 8765
_POSITION_EVERY_S = 0.1
_WARM_UP_RATE = 48_000


@dataclass(frozen=True)
class ServeOptions:
    """Where and how to serve.

    or_free: take any free port when this one is taken. stay: serve on after the last source has ended.
    history: the file to keep events in. options: for the server, as they are.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    any_free_port: bool = False
    keep_serving: bool = False
    settings: ServerSettings | None = None
    history: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)


def run_sessions(
    sessions: Sequence[Session],
    on_events: EventCallback,
    serving: ServeOptions | None,
    on_open: Callable[[str], None] | None = None,
) -> None:
    """Hear all streams to their ends or until stopped, serving them at `port` if there is one.

    tell: called on the event loop with what a stream said. opened: with the page's address.
    Raises what the server raises; a stream's own failure is left in `Session.failure`.
    """
    refuse_same_names([session.stream for session in sessions])
    with tolerate_standard_output():
        asyncio.run(_run_sessions(sessions, on_events, serving, on_open))


def refuse_same_names(names: Sequence[str]) -> None:
    """Raise AskedWrongly when two streams have one name."""
    for name in set(names):
        if names.count(name) > 1:
            raise UsageError(f"{names.count(name)} streams would be called {name!r}; name them: one=SOURCE two=SOURCE")


async def _run_sessions(
    sessions: Sequence[Session],
    on_events: EventCallback,
    serving: ServeOptions | None,
    on_open: Callable[[str], None] | None,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        for session in sessions:
            session.finish()
        loop.call_soon_threadsafe(stopped.set)

    hub = Hub(serving.settings, history=serving.history) if serving else None
    async with AsyncExitStack() as stack:
        stack.enter_context(handle_stop_signals(stop))
        address = None
        if serving and hub:
            for session in sessions:
                hub.add_stream(session.stream, session.epoch, session, source=session.source.name)
            address = await _start_server(stack, hub, serving)
        await asyncio.to_thread(compile_kernels)
        if address and on_open:
            on_open(address)
        await _run_workers(sessions, hub, on_events, stop)
        if serving and serving.keep_serving and not stopped.is_set():
            terminal.stderr.print("every source has ended; serving on until Ctrl-C")
            await stopped.wait()


async def _start_server(stack: AsyncExitStack, hub: Hub, serving: ServeOptions) -> str:
    """Serve the hub; the page's address."""
    try:
        server = await stack.enter_async_context(serve(hub, serving.host, serving.port, **serving.options))
    except PortInUseError:
        if not serving.any_free_port:
            raise
        server = await stack.enter_async_context(serve(hub, serving.host, 0, **serving.options))
    secure = serving.options.get("tls") is not None
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    return f"http{'s' if secure else ''}://{host}:{server.port}/"


async def _run_workers(
    sessions: Sequence[Session], hub: Hub | None, on_events: EventCallback, stop: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    failures: list[Exception] = []

    def publish(session: Session, envelopes: list[Envelope], position: StreamProgress) -> None:
        try:
            if hub:
                hub.publish(session.stream, envelopes, position)
            on_events(session, envelopes)
        except Exception as error:  # a terminal that was closed, say: everything ends, nothing is swallowed
            failures.append(error)
            stop()

    def work(session: Session) -> None:
        told = 0.0
        failure: Exception | None = None
        try:
            for envelopes in session:
                now = time.monotonic()
                if envelopes or now - told > _POSITION_EVERY_S:
                    told = now
                    loop.call_soon_threadsafe(publish, session, envelopes, session.position)
        except Exception as error:  # a fault of ours; the other streams go on
            failures.append(error)
            failure = error
        loop.call_soon_threadsafe(on_session_end, session, failure or session.failure)

    def on_session_end(session: Session, failure: Exception | None) -> None:
        if hub:
            hub.close_stream(session.stream)
        if failure and len(sessions) > 1:
            terminal.stderr.print(f"streamseg: {session.stream}: {failure}")

    with ThreadPoolExecutor(len(sessions), "hear") as workers:
        await asyncio.gather(*(loop.run_in_executor(workers, work, session) for session in sessions))
    if failures:
        raise failures[0]


def compile_kernels() -> None:
    """Load or compile everything that hearing needs, before the first sample is taken; says so.

    Noise, a tone and noise again: two sections close and the third is compared with the first, since some kernels
    run only then, and compiling them there would take longer than a ring buffer lasts.
    """
    began = time.perf_counter()
    with terminal.show_busy(f"warming up ({terminal.explain_slow_start()})"):
        engine = Segmenter(sample_rate=_WARM_UP_RATE, settings=make_settings("broadcast"), telemetry=True)
        noise = 0.1 * np.random.default_rng(0).standard_normal((_WARM_UP_RATE, 2))
        second = np.arange(_WARM_UP_RATE) / _WARM_UP_RATE
        tone = 0.1 * np.sin(2 * np.pi * 440 * second)[:, None].repeat(2, axis=1) + 1e-3 * noise
        for sound in (noise, tone, noise):
            for _ in range(12):
                engine.push(sound)
        engine.finish()
    terminal.stderr.print(f"ready after {time.perf_counter() - began:.1f} s")


def run_and_print(sessions: Sequence[Session], serving: ServeOptions | None) -> None:
    """Run, print lines for people and a summary. Raises what `run` does, and what a stream failed of."""
    summaries = {session.stream: EventSummary() for session in sessions}
    prefix = {session.stream: f"{session.stream:>12} " if len(sessions) > 1 else "" for session in sessions}

    def tell(session: Session, envelopes: list[Envelope]) -> None:
        summaries[session.stream].push(envelopes)
        terminal.print_lines(envelopes, prefix[session.stream])

    run_sessions(sessions, tell, serving, terminal.print_address)
    for session in sessions:
        if session.position.t or not session.failure:  # of one in which nothing was heard, the failure says it all
            terminal.stderr.print(f"{session.stream}: {summaries[session.stream]}")
    raise_failures(sessions)


def raise_failures(sessions: Sequence[Session]) -> None:
    """Raise what went wrong in the streams, if anything did."""
    failures = {session.stream: session.failure for session in sessions if session.failure}
    if failures and len(sessions) > 1:
        raise SourceError(f"{len(failures)} of {len(sessions)} streams failed: {', '.join(failures)}")
    for failure in failures.values():
        raise failure
    captures = [session.source for session in sessions if isinstance(session.source, RecordingSource)]
    incomplete = [str(capture.failure) for capture in captures if capture.failure]
    if incomplete:
        raise OutputError("; ".join(incomplete))
