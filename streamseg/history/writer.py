"""Writes events to the history, in transactions of whole batches.

Used from one thread. Most methods are one transaction; they raise sqlite3.Error when the disk or the file fails, and
then have written nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamseg.history.batches import EventBatch
from streamseg.history.database import open_history
from streamseg.history.file_watch import HistoryFileLoss
from streamseg.history.migrations import write_transaction
from streamseg.history.retention import prune_oldest_events
from streamseg.wire.envelope import encode_envelope, format_wall_time, make_envelope
from streamseg.wire.event_data import Event
from streamseg.wire.stream_events import StreamStopped

_RESERVED_BYTES = 65_536  # room for further events
_INSERT = "INSERT INTO event (stream_id, epoch_id, offset, type, kept_at, json) VALUES (?, ?, ?, ?, ?, ?)"


class HistoryWriter:
    """Writes events to one history file. All methods must be called from the same thread."""

    def __init__(self, path: Path, *, durable: bool = False, after_loss: bool = False) -> None:
        """Open or make the file, and add the missing end to the epochs that a crash interrupted.

        durable: each commit survives a power cut. after_loss: the history at this path was open and was lost, so
        epochs that are open in the file are incomplete.
        Raises UsageError, HistoryError, OSError or sqlite3.Error.
        """
        self._file = open_history(path, durable=durable, after_loss=after_loss)
        self._db = self._file.connection
        self._stream_ids: dict[str, int] = {}
        self._epoch_ids: dict[tuple[str, str], int] = {}
        try:
            with self._transaction():
                if after_loss or not self._file.lock.is_history_complete:
                    self._db.execute("UPDATE epoch SET broken=1, closed=1 WHERE NOT closed")
                close_interrupted_epochs(self._db)
            self._file.lock.write_completeness(True)
        except BaseException:
            self._file.close()
            raise

    @property
    def path(self) -> Path:
        """The path of the history file: the requested path, or one beside it if another process uses that file."""
        return self._file.path

    def append_batches(self, batches: Sequence[EventBatch]) -> None:
        """Write batches of events in one transaction. A batch without events adds its epoch only."""
        now = time.time()
        with self._transaction():
            for batch in batches:
                self._append_batch(batch, now)

    def mark_epochs_incomplete(self, epochs: Iterable[tuple[str, str]]) -> None:
        """Mark epochs, given as pairs (stream, epoch), in the history as lacking events and as ended.

        Then removes the mark that `mark_history_incomplete` wrote. Raises sqlite3.Error on a full disk.
        """
        with self._transaction():
            for stream, epoch in epochs:
                _, epoch_id = self._find_row_ids(stream, epoch)
                self._db.execute("UPDATE epoch SET broken=1, closed=1 WHERE id=?", (epoch_id,))
            self._db.execute("CREATE TABLE room (x)")  # this and the next fail on a full disk
            self._db.execute("INSERT INTO room VALUES (zeroblob(?))", (_RESERVED_BYTES,))
            self._db.execute("DROP TABLE room")
        self._file.lock.write_completeness(True)

    def mark_history_incomplete(self) -> None:
        """Write into the lock file that epochs which have not ended may lack events; this works on a full disk too.

        So the next start knows it after a crash. `mark_epochs_incomplete` removes the mark. Raises OSError.
        """
        self._file.lock.write_completeness(False)

    def prune_events(self, max_events: int, since_unix_s: float) -> bool:
        """Delete the oldest events that exceed the limits, at most 2000 per stream; return True if more may have to go.

        max_events: how many of each stream to keep. since_unix_s: events recorded before this time are deleted.
        """
        with self._transaction():
            return prune_oldest_events(self._db, max_events, since_unix_s)

    def find_file_loss(self, *, check_content_now: bool = False) -> HistoryFileLoss | None:
        """Check whether the history file was deleted, replaced, damaged or locked by others; return how, None if not.

        A deleted lock file is made again. check_content_now: otherwise the content is read once a second at most.
        """
        return self._file.find_file_loss(check_content_now=check_content_now)

    def close_and_move_to_backup(self, loss: HistoryFileLoss) -> None:
        """Close a history whose file was lost, and rename what is left of the file; raise OSError if that fails."""
        self._file.close_and_move_to_backup(loss)

    def close(self) -> None:
        """Close the history file, and unlock it for other processes."""
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with write_transaction(self._db):
                yield
        except BaseException:
            self._stream_ids.clear()  # rows that were inserted in here do not exist
            self._epoch_ids.clear()
            raise

    def _append_batch(self, batch: EventBatch, now: float) -> None:
        if batch.epoch is None:
            return
        stream_id, epoch_id = self._find_row_ids(batch.stream, batch.epoch)
        if not batch.events:
            return
        self._db.executemany(
            _INSERT,
            [
                (stream_id, epoch_id, event.envelope.offset, event.envelope.type, now, event.json.decode())
                for event in batch.events
            ],
        )
        last_offset = batch.events[-1].envelope.offset
        t = batch.progress.t if batch.progress else 0.0
        is_closed = any(event.envelope.type == StreamStopped.type for event in batch.events)
        self._db.execute(
            "UPDATE epoch SET last_offset=?, t=max(t, ?), closed=? WHERE id=?", (last_offset, t, is_closed, epoch_id)
        )

    def _find_row_ids(self, stream: str, epoch: str) -> tuple[int, int]:
        if stream not in self._stream_ids:
            self._db.execute("INSERT OR IGNORE INTO stream (name) VALUES (?)", (stream,))
            (self._stream_ids[stream],) = self._db.execute("SELECT id FROM stream WHERE name=?", (stream,)).fetchone()
        stream_id = self._stream_ids[stream]
        if (stream, epoch) not in self._epoch_ids:
            for key in [key for key in self._epoch_ids if key[0] == stream]:  # of the epoch before
                del self._epoch_ids[key]
            self._db.execute("INSERT OR IGNORE INTO epoch (stream_id, epoch) VALUES (?, ?)", (stream_id, epoch))
            (self._epoch_ids[stream, epoch],) = self._db.execute(
                "SELECT id FROM epoch WHERE stream_id=? AND epoch=?", (stream_id, epoch)
            ).fetchone()
        return stream_id, self._epoch_ids[stream, epoch]


def close_interrupted_epochs(db: sqlite3.Connection) -> None:
    """Mark each epoch that a crash left open as ended, and add a `stream.stopped` event to it if it has events."""
    open_epochs = db.execute(
        "SELECT epoch.id, stream.id, stream.name, epoch, last_offset, t FROM epoch"
        " JOIN stream ON stream.id = stream_id WHERE NOT closed"
    ).fetchall()
    for epoch_id, stream_id, stream, epoch, last_offset, t in open_epochs:
        db.execute("UPDATE epoch SET closed=1 WHERE id=?", (epoch_id,))
        if last_offset == 0:
            continue
        (subject,) = db.execute(
            "SELECT coalesce((SELECT json_extract(json, '$.subject') FROM event WHERE stream_id=? AND epoch_id=?"
            " AND type LIKE 'streamseg.stream.%' LIMIT 1), 'stream')",
            (stream_id, epoch_id),
        ).fetchone()
        (rev,) = db.execute(
            "SELECT coalesce(max(json_extract(json, '$.rev')), 0) + 1 FROM event WHERE stream_id=? AND epoch_id=?"
            " AND json_extract(json, '$.subject')=?",
            (stream_id, epoch_id, subject),
        ).fetchone()
        now, offset = time.time(), last_offset + 1
        envelope = make_envelope(
            Event(subject, StreamStopped(t=t, reason="interrupted", totals={})),
            stream=stream,
            epoch=epoch,
            offset=offset,
            rev=rev,
            time=format_wall_time(now),
            id=f"{epoch}:{offset}",
        )
        db.execute(_INSERT, (stream_id, epoch_id, offset, envelope.type, now, encode_envelope(envelope).decode()))
        db.execute("UPDATE epoch SET last_offset=? WHERE id=?", (offset, epoch_id))
