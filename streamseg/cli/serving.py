"""Runs the live sessions of a command, with or without a server, until their sources end or a signal stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamseg.cli import terminal
from streamseg.cli.signals import handle_stop_signals
from streamseg.cli.standard_streams import tolerate_standard_output_errors
from streamseg.cli.summary import EventSummary
from streamseg.engine.kernels import is_compiling
from streamseg.errors import OutputError, PortInUseError, SourceError
from streamseg.live import Session, Supervisor, compile_kernels
from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.sources import CapturingSource
from streamseg.wire.envelope import Envelope
from streamseg.wire.progress import StreamProgress

EventPrinter = Callable[[Session, list[Envelope]], None]

DEFAULT_PORT = 8765


@dataclass(frozen=True)
class ServeOptions:
    """Options of the server that a command starts to serve its sessions: host, port, settings, history.

    any_free_port: use another port when `port` is in use. keep_serving: continue to serve after the last source has
    ended. settings: None for the defaults. history: the file in which the server stores events; None stores none.
    options: further arguments of `streamseg.server.serve`.
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
    print_events: EventPrinter,
    serving: ServeOptions | None,
    on_open: Callable[[str], None] | None = None,
) -> None:
    """Run all sessions until their sources end or a signal stops them; also serve them unless `serving` is None.

    print_events: called on the event loop with a session and the list of its new events. on_open: called once with the
    URL of the page, when the server is ready. Raises what the server raises; an error of a source is not raised but
    stays in `Session.failure`.
    """
    with tolerate_standard_output_errors():
        asyncio.run(_run_sessions(sessions, print_events, serving, on_open))


async def _run_sessions(
    sessions: Sequence[Session],
    print_events: EventPrinter,
    serving: ServeOptions | None,
    on_open: Callable[[str], None] | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop_event = asyncio.Event()
    hub = Hub(serving.settings, history=serving.history) if serving else None

    def handle_events(session: Session, envelopes: list[Envelope], progress: StreamProgress) -> None:
        if hub:
            hub.publish(session.stream, envelopes, progress)
        print_events(session, envelopes)

    def handle_end(session: Session, error: Exception | None) -> None:
        if hub:
            hub.remove_stream_controls(session.stream)
        if error and len(sessions) > 1:
            terminal.stderr.print(f"streamseg: {session.stream}: {error}")

    supervisor = Supervisor(sessions, handle_events, handle_end)

    def stop() -> None:
        supervisor.stop()
        loop.call_soon_threadsafe(stop_event.set)

    async with AsyncExitStack() as stack:
        stack.enter_context(handle_stop_signals(stop, is_compiling))
        address = None
        if serving and hub:
            for session in sessions:
                hub.add_stream(session.stream, session.epoch, session, source=session.source.name)
            address = await _start_server(stack, hub, serving)
        await asyncio.to_thread(_compile_kernels)
        if address and on_open:
            on_open(address)
        await supervisor.run()
        if serving and serving.keep_serving and not stop_event.is_set():
            terminal.stderr.print("every source has ended; serving on until Ctrl-C")
            await stop_event.wait()


async def _start_server(stack: AsyncExitStack, hub: Hub, serving: ServeOptions) -> str:
    """Start serving the hub until the stack is closed; returns the page's address."""
    try:
        server = await stack.enter_async_context(serve(hub, serving.host, serving.port, **serving.options))
    except PortInUseError:
        if not serving.any_free_port:
            raise
        server = await stack.enter_async_context(serve(hub, serving.host, 0, **serving.options))
    secure = serving.options.get("tls") is not None
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    return f"http{'s' if secure else ''}://{host}:{server.port}/"


def _compile_kernels() -> None:
    """Compile or load the kernels, and report it."""
    with terminal.show_start("warming up"):
        took_s = compile_kernels()
    terminal.stderr.print(f"ready after {took_s:.1f} s")


def run_and_print_sessions(sessions: Sequence[Session], serving: ServeOptions | None) -> None:
    """Run sessions until their sources end or a signal stops them; print their events as lines, then a summary of each.

    serving: also serve the sessions; None does not. Raises what the server raises, and the errors of the sources at the
    end.
    """
    summaries = {session.stream: EventSummary() for session in sessions}
    event_lines = terminal.EventLines()
    prefixes = {session.stream: f"{session.stream:>12} " if len(sessions) > 1 else "" for session in sessions}

    def print_events(session: Session, envelopes: list[Envelope]) -> None:
        summaries[session.stream].add_events(envelopes)
        event_lines.print_events(envelopes, prefixes[session.stream])

    run_sessions(sessions, print_events, serving, terminal.print_server_addresses)
    for session in sessions:
        if session.progress.t or not session.failure:  # where no sound was processed, the error is enough
            terminal.stderr.print(f"{session.stream}: {summaries[session.stream]}")
    raise_session_failures(sessions)


def raise_session_failures(sessions: Sequence[Session]) -> None:
    """Raise the error of a session that failed, or OutputError if a recording is incomplete; otherwise do nothing.

    Call it after the sessions have ended. With several sessions, a SourceError lists the streams that failed. An
    incomplete capture raises OutputError.
    """
    failures = {session.stream: session.failure for session in sessions if session.failure}
    if failures and len(sessions) > 1:
        raise SourceError(f"{len(failures)} of {len(sessions)} streams failed: {', '.join(failures)}")
    for failure in failures.values():
        raise failure
    captures = [session.source for session in sessions if isinstance(session.source, CapturingSource)]
    incomplete = [str(capture.failure) for capture in captures if capture.failure]
    if incomplete:
        raise OutputError("; ".join(incomplete))
