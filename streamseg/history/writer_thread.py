"""Writes the history in a thread of its own.

An event is committed before it is sent. Commits follow each other as fast as the disk allows, each with all batches
that arrived since the last one. So an event waits for at most one commit before its own, and neither the engine nor the
event loop ever waits. When the disk fails, events are still sent live, marked as not recorded. Their epoch stays
incomplete, so when the disk works again the streams start new epochs, which are complete.
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
from streamseg.history.file_watch import HistoryFileLoss
from streamseg.history.writer import HistoryWriter
from streamseg.settings import ServerSettings
from streamseg.wire.envelope import format_wall_time

log = logging.getLogger(__name__)

RETRY_S = 5.0
PRUNE_EVERY_S = 5.0
_IDLE_S = 1.0  # how often the file is checked while no batches arrive
_FAILURES = (sqlite3.Error, OSError, StreamsegError)
_LOST_AGAIN_S = 60.0  # a file that is lost again within this time is made again only after RETRY_S
_DAMAGE_SIGNS = ("malformed", "not a database", "no such table", "no such column")


class DeliverableBatch(NamedTuple):
    """A batch that may be sent to clients now, and whether it is recorded in the history."""

    batch: EventBatch
    is_recorded: bool


class HistoryRecorder:
    """Writes event batches to a history in its own thread, then passes each to a callback, even if writing failed."""

    def __init__(
        self,
        path: Path,
        settings: ServerSettings,
        on_written: Callable[[Sequence[DeliverableBatch]], None],
        on_failed: Callable[[str, str], None],
        on_restored: Callable[[str, str, frozenset[str]], None],
    ) -> None:
        """Open the file; `start` starts the thread. The callbacks are called in that thread.

        on_written(results): these batches may be sent. on_failed(reason, since): nothing is recorded from now on.
        on_restored(reason, since, streams): events are recorded again; these streams have an incomplete epoch.
        Raises UsageError or HistoryError when the path can never be used.
        """
        self._path = path
        self._settings = settings
        self._on_written, self._on_failed, self._on_restored = on_written, on_failed, on_restored
        self._queue: queue.SimpleQueue[EventBatch | None] = queue.SimpleQueue()
        self._broken_epochs: dict[str, str] = {}  # by stream: its latest incomplete epoch
        self._epochs: dict[str, str] = {}  # by stream: its latest epoch
        self._loss: HistoryFileLoss | None = None
        self._lost_at: float | None = None
        self._unmarked_streams: dict[str, None] = {}  # whose incomplete epoch is not marked in the file yet, in order
        self._failing_since: str | None = None
        self._failure_reason = ""
        self._next_retry_at = 0.0
        self._next_prune_at = 0.0
        self._writer: HistoryWriter | None = None
        self._thread = threading.Thread(target=self._run, name="streamseg-history", daemon=True)
        try:
            self._writer = HistoryWriter(path, durable=settings.durable)
        except (sqlite3.Error, OSError) as error:
            self._on_failure(error)

    @property
    def path(self) -> Path:
        """The path of the history file: the requested path, or one beside it if another process uses that file."""
        return self._writer.path if self._writer is not None else self._path

    def start(self) -> None:
        """Start the thread that writes the history."""
        self._thread.start()

    def put_batch(self, batch: EventBatch) -> None:
        """Queue a batch for the thread to write. Never waits."""
        self._queue.put(batch)

    def finish_and_close(self) -> None:
        """Write all queued batches, pass them to the callback, close the file, and wait for the thread to end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batches, is_last = self._take_batches()
            self._retry_if_due()
            if batches:
                self._write_batches(batches)
            if is_last:
                break
            self._prune_if_due()
            self._check_for_loss()
        if self._writer is not None:
            if (loss := self._loss or self._writer.find_file_loss(check_content_now=True)) is None:
                self._writer.close()
            else:
                self._close_lost(self._writer, loss)

    def _take_batches(self) -> tuple[list[EventBatch], bool]:
        """Take all queued batches, waiting for the first a bounded time; true with them when no more will come."""
        batches: list[EventBatch] = []
        wait_s = min(RETRY_S, PRUNE_EVERY_S, _IDLE_S)
        while True:
            try:
                batch = self._queue.get(timeout=0 if batches else wait_s)
            except queue.Empty:
                return batches, False
            if batch is None:
                return batches, True
            batches.append(batch)

    def _write_batches(self, batches: list[EventBatch]) -> None:
        self._epochs.update((batch.stream, batch.epoch) for batch in batches if batch.epoch is not None)
        if self._failing_since is None and self._writer is not None:
            try:
                if complete := [batch for batch in batches if self._is_complete(batch)]:
                    self._writer.append_batches(complete)
            except _FAILURES as error:
                self._on_failure(error)
        self._check_for_loss()  # after the commit, before any batch is reported as recorded
        results = []
        for batch in batches:
            if self._failing_since is not None and batch.epoch is not None and batch.events:
                self._broken_epochs[batch.stream] = batch.epoch
                self._unmarked_streams[batch.stream] = None
            results.append(DeliverableBatch(batch, is_recorded=self._is_complete(batch)))
        self._on_written(results)

    def _check_for_loss(self) -> None:
        """Start a failure where the file at the path is no longer the one that is written."""
        if (
            self._failing_since is None
            and self._writer is not None
            and (loss := self._writer.find_file_loss()) is not None
        ):
            self._on_failure(HistoryError(loss.reason), loss)

    def _is_complete(self, batch: EventBatch) -> bool:
        return batch.epoch is None or self._broken_epochs.get(batch.stream) != batch.epoch

    def _on_failure(self, error: Exception, loss: HistoryFileLoss | None = None) -> None:
        """Record nothing from now on; with a loss, earlier events are lost too."""
        now = time.monotonic()
        self._failing_since = format_wall_time(time.time())
        self._failure_reason = _describe_error(error)
        self._next_retry_at = now + RETRY_S
        log.warning("history %s cannot be written (%s); events go on live but are not kept", self.path, error)
        if self._writer is not None:
            try:
                self._writer.mark_history_incomplete()
            except OSError as lock_error:
                log.warning("history %s: a loss cannot be marked either (%s)", self.path, lock_error)
            if any(sign in self._failure_reason for sign in _DAMAGE_SIGNS):
                loss = HistoryFileLoss("damaged", self._failure_reason)
        if loss is not None:
            self._loss = loss
            self._broken_epochs.update(self._epochs)
            self._unmarked_streams.update(dict.fromkeys(self._epochs))
            if self._lost_at is None or now - self._lost_at > _LOST_AGAIN_S:
                self._next_retry_at = now  # a new file can be made at once
            self._lost_at = now
        self._on_failed(self._failure_reason, self._failing_since)

    def _retry_if_due(self) -> None:
        if self._failing_since is None or time.monotonic() < self._next_retry_at:
            return
        self._next_retry_at = time.monotonic() + RETRY_S
        try:
            # In the order in which the streams were announced: a new file numbers them in this order.
            streams = [stream for stream in self._epochs if stream in self._unmarked_streams]
            self._open_writer().mark_epochs_incomplete((stream, self._broken_epochs[stream]) for stream in streams)
        except _FAILURES as error:
            log.debug("history %s still cannot be written (%s)", self._path, error)
            return
        since, self._failing_since = self._failing_since, None
        log.warning("history %s is written again", self.path)
        self._on_restored(self._failure_reason, since, frozenset(self._unmarked_streams))
        self._unmarked_streams.clear()

    def _open_writer(self) -> HistoryWriter:
        """Return the writer; where the file was lost, set it aside and make a new one."""
        after_loss = self._loss is not None
        if self._writer is not None and self._loss is not None:
            writer, self._writer = self._writer, None
            self._close_lost(writer, self._loss)
        if self._writer is None:
            self._writer = HistoryWriter(self._path, durable=self._settings.durable, after_loss=after_loss)
        self._loss = None
        return self._writer

    def _close_lost(self, writer: HistoryWriter, loss: HistoryFileLoss) -> None:
        try:
            writer.close_and_move_to_backup(loss)
        except OSError as error:
            log.warning("history %s: what is left of it cannot be set aside (%s)", writer.path, error)

    def _prune_if_due(self) -> None:
        if self._failing_since is not None or self._writer is None or time.monotonic() < self._next_prune_at:
            return
        try:
            has_more = self._writer.prune_events(self._settings.history_events, time.time() - self._settings.history_s)
        except _FAILURES as error:
            self._on_failure(error)
        else:
            self._next_prune_at = 0.0 if has_more else time.monotonic() + PRUNE_EVERY_S


def _describe_error(error: Exception) -> str:
    """Describe an error to clients, without the path that an OSError names."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
