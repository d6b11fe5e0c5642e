"""Runs each of many sessions in a worker thread, and passes their events to a callback on the asyncio event loop.

::

    source ▸ Session (worker thread) ▸ call_soon_threadsafe ▸ on_events (event loop): hub, terminal, your own code

A worker never waits for the event loop. `Supervisor.stop` closes the sources; the samples that they have delivered
are processed and the pending events are emitted before `Supervisor.run` returns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from streamseg.errors import UsageError
from streamseg.live.session import Session
from streamseg.live.warm_up import compile_kernels
from streamseg.wire.envelope import Envelope
from streamseg.wire.progress import StreamProgress

EventCallback: TypeAlias = Callable[[Session, list[Envelope], StreamProgress], None]
EndCallback: TypeAlias = Callable[[Session, Exception | None], None]

_PROGRESS_INTERVAL_S: Final = 0.1


class Supervisor:
    """Runs each session in a worker thread and passes its events to a callback on the asyncio event loop.

    A session that fails is not restarted; the others continue.
    """

    def __init__(
        self, sessions: Sequence[Session], on_events: EventCallback, on_end: EndCallback | None = None
    ) -> None:
        """Both callbacks are called on the event loop.

        on_events: called with a session, the list of its new events in order, and its progress after them. While there
        are no events it is called about ten times a second with an empty list. If it raises, all sessions are stopped.
        on_end: called once for each session, with the error that ended it; None if there was none.

        Raises UsageError if `sessions` is empty or two of them have the same stream name.
        """
        if not sessions:
            raise UsageError("no session to run; give at least one")
        refuse_duplicate_names([session.stream for session in sessions])
        self.sessions = tuple(sessions)
        self._on_events = on_events
        self._on_end = on_end
        self._errors: list[Exception] = []

    async def run(self) -> None:
        """Compile the kernels, run all sessions, and return when every source has ended or `stop` was called.

        A source's own error ends its session only and stays in `Session.failure`. Any other exception is raised here
        after all sessions have ended. If this coroutine is cancelled, the sessions are stopped first, as by `stop`.
        """
        await asyncio.to_thread(compile_kernels)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(len(self.sessions), "session") as pool:
            workers = asyncio.gather(
                *(loop.run_in_executor(pool, self._run_session, session, loop) for session in self.sessions)
            )
            try:
                await asyncio.shield(workers)
            except asyncio.CancelledError:
                self.stop()
                await workers
                raise
        if self._errors:
            raise self._errors[0]

    def stop(self) -> None:
        """Close the source of every session and return at once; `run` returns after all pending events are emitted.

        The sound delivered so far is still processed. It may be called from any thread.
        """
        for session in self.sessions:
            session.finish()

    def _run_session(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        """Iterate one session, in its worker thread."""
        sent_at = 0.0
        defect: Exception | None = None
        try:
            for envelopes in session:
                now = time.monotonic()
                if envelopes or now - sent_at > _PROGRESS_INTERVAL_S:
                    sent_at = now
                    loop.call_soon_threadsafe(self._deliver_events, session, envelopes, session.progress)
        except Exception as error:  # a defect of the program; the other streams go on
            self._errors.append(error)
            defect = error
        if self._on_end is not None:
            loop.call_soon_threadsafe(self._on_end, session, defect or session.failure)

    def _deliver_events(self, session: Session, envelopes: list[Envelope], progress: StreamProgress) -> None:
        try:
            self._on_events(session, envelopes, progress)
        except Exception as error:
            self._errors.append(error)
            self.stop()


def refuse_duplicate_names(names: Sequence[str]) -> None:
    """Raise UsageError if two of these stream names are equal."""
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            raise UsageError(
                f"{names.count(name)} streams have the name {name!r}; give each its own: one=SOURCE two=SOURCE"
            )
