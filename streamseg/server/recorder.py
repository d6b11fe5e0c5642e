"""The thread that writes the event log.

An event is committed before it is sent. Commits are made as fast as the disk allows, each with whatever has
gathered meanwhile, so an event waits for at most one commit before its own, and neither the engine nor the event
loop ever waits. When the disk fails, events go on live, marked as not kept; the epoch they belong to is broken for
good, so when the disk is back the streams begin new epochs, which are whole again.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from streamseg.envelope import wall_time
from streamseg.errors import HistoryFailed, StreamsegError
from streamseg.server.custody import Loss
from streamseg.server.eventlog import EventLog
from streamseg.server.stream import Batch
from streamseg.settings import ServerSettings

log = logging.getLogger(__name__)

RETRY_S = 5.0
PRUNE_EVERY_S = 5.0
_IDLE_S = 1.0  # how often the file is looked at when nothing is said
_FAILURES = (sqlite3.Error, OSError, StreamsegError)
_LOST_AGAIN_S = 60.0  # a file that is lost again so soon is begun anew only after RETRY_S
_UNUSABLE = ("malformed", "not a database", "no such table", "no such column")


class Outcome(NamedTuple):
    """A batch may be sent now; `kept` tells whether it is in the history."""

    batch: Batch
    kept: bool


class Recorder:
    """Writes batches in order, and reports on each by `deliver`, called in its thread."""

    def __init__(
        self,
        path: Path,
        settings: ServerSettings,
        deliver: Callable[[Sequence[Outcome]], None],
        failed: Callable[[str, str], None],
        restored: Callable[[str, str, frozenset[str]], None],
    ) -> None:
        """failed(reason, since) and restored(reason, since, streams with a broken epoch) are called in its thread.

        Raises AskedWrongly or HistoryFailed when the path can never work.
        """
        self._wanted = path
        self._settings = settings
        self._deliver, self._failed, self._restored = deliver, failed, restored
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._broken: dict[str, str] = {}  # the latest epoch of a stream that is not whole
        self._epochs: dict[str, str] = {}  # the latest epoch of each stream
        self._loss: Loss | None = None
        self._lost_at: float | None = None
        self._unmarked: dict[str, None] = {}  # streams whose broken epoch the log does not know of yet, in order
        self._since: str | None = None
        self._why = ""
        self._next_try = 0.0
        self._next_prune = 0.0
        self._log: EventLog | None = None
        self._thread = threading.Thread(target=self._run, name="streamseg-history", daemon=True)
        try:
            self._log = EventLog(path, durable=settings.durable)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    @property
    def path(self) -> Path:
        """The file that is written; another one than asked when that was in use."""
        return self._log.path if self._log is not None else self._wanted

    def start(self) -> None:
        """Begin writing."""
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Have a batch written and delivered. Never waits."""
        self._queue.put(batch)

    def stop(self) -> None:
        """Write and deliver what is left, then close the file."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            work, last = self._gather()
            self._retry_if_due()
            if work:
                self._record(work)
            if last:
                break
            self._prune_if_due()
            self._look_for_loss()
        if self._log is not None:
            if (loss := self._loss or self._log.find_loss(thorough=True)) is None:
                self._log.close()
            else:
                self._abandon(self._log, loss)

    def _gather(self) -> tuple[list[Batch], bool]:
        """What has come meanwhile, after waiting a while for the first; and whether it was the last."""
        gathered: list[Batch] = []
        wait_s = min(RETRY_S, PRUNE_EVERY_S, _IDLE_S)
        while True:
            try:
                batch = self._queue.get(timeout=0 if gathered else wait_s)
            except queue.Empty:
                return gathered, False
            if batch is None:
                return gathered, True
            gathered.append(batch)

    def _record(self, work: list[Batch]) -> None:
        self._epochs.update((batch.stream, batch.epoch) for batch in work if batch.epoch is not None)
        if self._since is None and self._log is not None:
            try:
                if whole := [batch for batch in work if self._is_whole(batch)]:
                    self._log.append(whole)
            except _FAILURES as error:
                self._fail(error)
        self._look_for_loss()  # after the commit, before anything is said to be kept
        outcomes = []
        for batch in work:
            if self._since is not None and batch.epoch is not None and batch.said:
                self._broken[batch.stream] = batch.epoch
                self._unmarked[batch.stream] = None
            outcomes.append(Outcome(batch, kept=self._is_whole(batch)))
        self._deliver(outcomes)

    def _look_for_loss(self) -> None:
        """Notice that what was written is not at its path any more."""
        if self._since is None and self._log is not None and (loss := self._log.find_loss()) is not None:
            self._fail(HistoryFailed(loss.reason), loss)

    def _is_whole(self, batch: Batch) -> bool:
        return batch.epoch is None or self._broken.get(batch.stream) != batch.epoch

    def _fail(self, error: Exception, loss: Loss | None = None) -> None:
        """Nothing is kept from here on; with a loss, what was kept before is gone too."""
        now = time.monotonic()
        self._since = wall_time(time.time())
        self._why = _reason(error)
        self._next_try = now + RETRY_S
        log.warning("history %s cannot be written (%s); events go on live but are not kept", self.path, error)
        if self._log is not None:
            try:
                self._log.expect_loss()
            except OSError as worse:
                log.warning("history %s: a loss cannot be marked either (%s)", self.path, worse)
            if any(sign in self._why for sign in _UNUSABLE):
                loss = Loss("damaged", self._why)
        if loss is not None:
            self._loss = loss
            self._broken.update(self._epochs)
            self._unmarked.update(dict.fromkeys(self._epochs))
            if self._lost_at is None or now - self._lost_at > _LOST_AGAIN_S:
                self._next_try = now  # nothing has to come back first
            self._lost_at = now
        self._failed(self._why, self._since)

    def _retry_if_due(self) -> None:
        if self._since is None or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + RETRY_S
        try:
            # In the order they were announced: a new file numbers its streams so, the same in every process.
            unmarked = [stream for stream in self._epochs if stream in self._unmarked]
            self._reopened().give_up((stream, self._broken[stream]) for stream in unmarked)
        except _FAILURES as error:
            log.debug("history %s still cannot be written (%s)", self._wanted, error)
            return
        since, self._since = self._since, None
        log.warning("history %s is written again", self.path)
        self._restored(self._why, since, frozenset(self._unmarked))
        self._unmarked.clear()

    def _reopened(self) -> EventLog:
        """The log; one that was lost is set aside and begun anew."""
        anew = self._loss is not None
        if self._log is not None and self._loss is not None:
            lost, self._log = self._log, None
            self._abandon(lost, self._loss)
        if self._log is None:
            self._log = EventLog(self._wanted, durable=self._settings.durable, anew=anew)
        self._loss = None
        return self._log

    def _abandon(self, lost: EventLog, loss: Loss) -> None:
        try:
            lost.abandon(loss)
        except OSError as error:
            log.warning("history %s: what is left of it cannot be set aside (%s)", lost.path, error)

    def _prune_if_due(self) -> None:
        if self._since is not None or self._log is None or time.monotonic() < self._next_prune:
            return
        try:
            more = self._log.prune(self._settings.history_events, time.time() - self._settings.history_s)
        except _FAILURES as error:
            self._fail(error)
        else:
            self._next_prune = 0.0 if more else time.monotonic() + PRUNE_EVERY_S


def _reason(error: Exception) -> str:
    """What listeners are told: without the path, which an OSError names."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
