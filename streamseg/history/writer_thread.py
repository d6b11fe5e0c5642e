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

from streamseg.errors import HistoryError, StreamsegError
from streamseg.history.batches import EventBatch
from streamseg.history.file_watch import HistoryLoss
from streamseg.history.writer import HistoryWriter
from streamseg.settings import ServerSettings
from streamseg.wire.envelope import format_wall_time

log = logging.getLogger(__name__)

RETRY_S = 5.0
PRUNE_EVERY_S = 5.0
_IDLE_S = 1.0  # how often the file is looked at when nothing is said
_FAILURES = (sqlite3.Error, OSError, StreamsegError)
_LOST_AGAIN_S = 60.0  # a file that is lost again so soon is begun anew only after RETRY_S
_UNUSABLE = ("malformed", "not a database", "no such table", "no such column")


class WriteResult(NamedTuple):
    """A batch may be sent now; `kept` tells whether it is in the history."""

    batch: EventBatch
    is_recorded: bool


class HistoryRecorder:
    """Writes batches in order, and reports on each by `deliver`, called in its thread."""

    def __init__(
        self,
        path: Path,
        settings: ServerSettings,
        on_written: Callable[[Sequence[WriteResult]], None],
        on_failed: Callable[[str, str], None],
        on_restored: Callable[[str, str, frozenset[str]], None],
    ) -> None:
        """failed(reason, since) and restored(reason, since, streams with a broken epoch) are called in its thread.

        Raises AskedWrongly or HistoryFailed when the path can never work.
        """
        self._path = path
        self._settings = settings
        self._on_written, self._on_failed, self._on_restored = on_written, on_failed, on_restored
        self._queue: queue.SimpleQueue[EventBatch | None] = queue.SimpleQueue()
        self._broken_epochs: dict[str, str] = {}  # the latest epoch of a stream that is not whole
        self._epochs: dict[str, str] = {}  # the latest epoch of each stream
        self._loss: HistoryLoss | None = None
        self._lost_at: float | None = None
        self._unmarked_streams: dict[
            str, None
        ] = {}  # streams whose broken epoch the log does not know of yet, in order
        self._failing_since: str | None = None
        self._failure_reason = ""
        self._next_try = 0.0
        self._next_prune = 0.0
        self._log: HistoryWriter | None = None
        self._thread = threading.Thread(target=self._run, name="streamseg-history", daemon=True)
        try:
            self._log = HistoryWriter(path, durable=settings.durable)
        except (sqlite3.Error, OSError) as error:
            self._on_failure(error)

    @property
    def path(self) -> Path:
        """The file that is written; another one than asked when that was in use."""
        return self._log.path if self._log is not None else self._path

    def start(self) -> None:
        """Begin writing."""
        self._thread.start()

    def put_batch(self, batch: EventBatch) -> None:
        """Have a batch written and delivered. Never waits."""
        self._queue.put(batch)

    def finish_and_close(self) -> None:
        """Write and deliver what is left, then close the file."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            work, last = self._next_batches()
            self._retry_if_due()
            if work:
                self._write_batches(work)
            if last:
                break
            self._prune_if_due()
            self._look_for_loss()
        if self._log is not None:
            if (loss := self._loss or self._log.find_loss(thorough=True)) is None:
                self._log.close()
            else:
                self._abandon(self._log, loss)

    def _next_batches(self) -> tuple[list[EventBatch], bool]:
        """What has come meanwhile, after waiting a while for the first; and whether it was the last."""
        gathered: list[EventBatch] = []
        wait_s = min(RETRY_S, PRUNE_EVERY_S, _IDLE_S)
        while True:
            try:
                batch = self._queue.get(timeout=0 if gathered else wait_s)
            except queue.Empty:
                return gathered, False
            if batch is None:
                return gathered, True
            gathered.append(batch)

    def _write_batches(self, work: list[EventBatch]) -> None:
        self._epochs.update((batch.stream, batch.epoch) for batch in work if batch.epoch is not None)
        if self._failing_since is None and self._log is not None:
            try:
                if whole := [batch for batch in work if self._is_complete(batch)]:
                    self._log.append_batches(whole)
            except _FAILURES as error:
                self._on_failure(error)
        self._look_for_loss()  # after the commit, before anything is said to be kept
        outcomes = []
        for batch in work:
            if self._failing_since is not None and batch.epoch is not None and batch.events:
                self._broken_epochs[batch.stream] = batch.epoch
                self._unmarked_streams[batch.stream] = None
            outcomes.append(WriteResult(batch, is_recorded=self._is_complete(batch)))
        self._on_written(outcomes)

    def _look_for_loss(self) -> None:
        """Notice that what was written is not at its path any more."""
        if self._failing_since is None and self._log is not None and (loss := self._log.find_loss()) is not None:
            self._on_failure(HistoryError(loss.reason), loss)

    def _is_complete(self, batch: EventBatch) -> bool:
        return batch.epoch is None or self._broken_epochs.get(batch.stream) != batch.epoch

    def _on_failure(self, error: Exception, loss: HistoryLoss | None = None) -> None:
        """Nothing is kept from here on; with a loss, what was kept before is gone too."""
        now = time.monotonic()
        self._failing_since = format_wall_time(time.time())
        self._failure_reason = _reason(error)
        self._next_try = now + RETRY_S
        log.warning("history %s cannot be written (%s); events go on live but are not kept", self.path, error)
        if self._log is not None:
            try:
                self._log.mark_possible_loss()
            except OSError as worse:
                log.warning("history %s: a loss cannot be marked either (%s)", self.path, worse)
            if any(sign in self._failure_reason for sign in _UNUSABLE):
                loss = HistoryLoss("damaged", self._failure_reason)
        if loss is not None:
            self._loss = loss
            self._broken_epochs.update(self._epochs)
            self._unmarked_streams.update(dict.fromkeys(self._epochs))
            if self._lost_at is None or now - self._lost_at > _LOST_AGAIN_S:
                self._next_try = now  # nothing has to come back first
            self._lost_at = now
        self._on_failed(self._failure_reason, self._failing_since)

    def _retry_if_due(self) -> None:
        if self._failing_since is None or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + RETRY_S
        try:
            # In the order they were announced: a new file numbers its streams so, the same in every process.
            unmarked = [stream for stream in self._epochs if stream in self._unmarked_streams]
            self._reopen_if_damaged().mark_broken((stream, self._broken_epochs[stream]) for stream in unmarked)
        except _FAILURES as error:
            log.debug("history %s still cannot be written (%s)", self._path, error)
            return
        since, self._failing_since = self._failing_since, None
        log.warning("history %s is written again", self.path)
        self._on_restored(self._failure_reason, since, frozenset(self._unmarked_streams))
        self._unmarked_streams.clear()

    def _reopen_if_damaged(self) -> HistoryWriter:
        """The log; one that was lost is set aside and begun anew."""
        anew = self._loss is not None
        if self._log is not None and self._loss is not None:
            lost, self._log = self._log, None
            self._abandon(lost, self._loss)
        if self._log is None:
            self._log = HistoryWriter(self._path, durable=self._settings.durable, anew=anew)
        self._loss = None
        return self._log

    def _abandon(self, lost: HistoryWriter, loss: HistoryLoss) -> None:
        try:
            lost.abandon(loss)
        except OSError as error:
            log.warning("history %s: what is left of it cannot be set aside (%s)", lost.path, error)

    def _prune_if_due(self) -> None:
        if self._failing_since is not None or self._log is None or time.monotonic() < self._next_prune:
            return
        try:
            more = self._log.prune_events(self._settings.history_events, time.time() - self._settings.history_s)
        except _FAILURES as error:
            self._on_failure(error)
        else:
            self._next_prune = 0.0 if more else time.monotonic() + PRUNE_EVERY_S


def _reason(error: Exception) -> str:
    """What listeners are told: without the path, which an OSError names."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
