"""Writing the event log: whole batches or nothing of them.

Used from one thread. Most methods are one transaction and raise sqlite3.Error when the disk or the file fails;
then nothing of it was written.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamseg.history.batches import EventBatch
from streamseg.history.database import open_history
from streamseg.history.file_watch import HistoryLoss
from streamseg.history.retention import prune_oldest_events
from streamseg.wire.envelope import Envelope, encode_envelope, format_wall_time
from streamseg.wire.events import StreamStopped

_RESERVED_BYTES = 65_536
_INSERT = "INSERT INTO event (stream_id, epoch_id, offset, type, kept_at, json) VALUES (?, ?, ?, ?, ?, ?)"


class HistoryWriter:
    """One history file, open for writing."""

    def __init__(self, path: Path, *, durable: bool = False, anew: bool = False) -> None:
        """Open it, and end the epochs that a crash cut short.

        anew: it was open and was lost; epochs that are open in what is found are not whole.
        Raises AskedWrongly, HistoryFailed, OSError or sqlite3.Error.
        """
        self._file = open_history(path, durable=durable, anew=anew)
        self._db = self._file.connection
        self._streams: dict[str, int] = {}
        self._epochs: dict[tuple[str, str], int] = {}
        try:
            with self._transaction():
                if anew or not self._file.lock.is_complete:
                    self._db.execute("UPDATE epoch SET broken=1, closed=1 WHERE NOT closed")
                close_interrupted_epochs(self._db)
            self._file.lock.is_complete = True
        except BaseException:
            self._file.close()
            raise

    @property
    def path(self) -> Path:
        """The file; another one than asked when that was in use."""
        return self._file.path

    def append_batches(self, batches: Sequence[EventBatch]) -> None:
        """Write what was said; a batch without events makes its epoch known."""
        now = time.time()
        with self._transaction():
            for batch in batches:
                self._append(batch, now)

    def mark_broken(self, epochs: Iterable[tuple[str, str]]) -> None:
        """Mark (stream, epoch) pairs as not whole, for good. Fails when there is no room for what comes next."""
        with self._transaction():
            for stream, epoch in epochs:
                _, epoch_id = self._row_ids(stream, epoch)
                self._db.execute("UPDATE epoch SET broken=1, closed=1 WHERE id=?", (epoch_id,))
            self._db.execute("CREATE TABLE room (x)")
            self._db.execute("INSERT INTO room VALUES (zeroblob(?))", (_RESERVED_BYTES,))
            self._db.execute("DROP TABLE room")
        self._file.lock.is_complete = True

    def mark_possible_loss(self) -> None:
        """Something will be said that is not kept: remember it, though there be no room; should we die, it is known.

        Raises OSError when not even this can be written.
        """
        self._file.lock.is_complete = False

    def prune_events(self, events: int, since: float) -> bool:
        """Drop what is beyond so many events of each stream, or older than a Unix time; true when more is to do."""
        with self._transaction():
            return prune_oldest_events(self._db, events, since)

    def find_loss(self, *, thorough: bool = False) -> HistoryLoss | None:
        """What happened to the file since it was opened; None while all is well. thorough: look into it, too."""
        return self._file.find_loss(thorough=thorough)

    def abandon(self, loss: HistoryLoss) -> None:
        """Close a file that is lost, and set aside what is left of it. Raises OSError when that fails."""
        self._file.close_lost(loss)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._streams.clear()  # what was numbered in here does not exist
            self._epochs.clear()
            if self._db.in_transaction:  # some failures have rolled back already
                self._db.execute("ROLLBACK")
            raise

    def _append(self, batch: EventBatch, now: float) -> None:
        if batch.epoch is None:
            return
        stream_id, epoch_id = self._row_ids(batch.stream, batch.epoch)
        if not batch.events:
            return
        self._db.executemany(
            _INSERT,
            [
                (stream_id, epoch_id, said.envelope.offset, said.envelope.type, now, said.json.decode())
                for said in batch.events
            ],
        )
        last = batch.events[-1].envelope.offset
        t = batch.position.t if batch.position else 0.0
        closed = any(said.envelope.type == StreamStopped.type for said in batch.events)
        self._db.execute(
            "UPDATE epoch SET last_offset=?, t=max(t, ?), closed=? WHERE id=?", (last, t, closed, epoch_id)
        )

    def _row_ids(self, stream: str, epoch: str) -> tuple[int, int]:
        if stream not in self._streams:
            self._db.execute("INSERT OR IGNORE INTO stream (name) VALUES (?)", (stream,))
            (self._streams[stream],) = self._db.execute("SELECT id FROM stream WHERE name=?", (stream,)).fetchone()
        stream_id = self._streams[stream]
        if (stream, epoch) not in self._epochs:
            for old in [key for key in self._epochs if key[0] == stream]:
                del self._epochs[old]
            self._db.execute("INSERT OR IGNORE INTO epoch (stream_id, epoch) VALUES (?, ?)", (stream_id, epoch))
            (self._epochs[stream, epoch],) = self._db.execute(
                "SELECT id FROM epoch WHERE stream_id=? AND epoch=?", (stream_id, epoch)
            ).fetchone()
        return stream_id, self._epochs[stream, epoch]


def close_interrupted_epochs(db: sqlite3.Connection) -> None:
    """End the epochs that a crash cut short, so that whoever replays them hears that they ended."""
    open_epochs = db.execute(
        "SELECT epoch.id, stream.id, stream.name, epoch, last_offset, t FROM epoch"
        " JOIN stream ON stream.id = stream_id WHERE NOT closed"
    ).fetchall()
    for epoch_id, stream_id, stream, epoch, last, t in open_epochs:
        db.execute("UPDATE epoch SET closed=1 WHERE id=?", (epoch_id,))
        if last == 0:
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
        stopped = Envelope(
            specversion="1.0",
            id=f"{epoch}:{last + 1}",
            source=f"/streams/{stream}",
            type=StreamStopped.type,
            subject=subject,
            time=format_wall_time(time.time()),
            datacontenttype="application/json",
            epoch=epoch,
            offset=last + 1,
            rev=rev,
            data=StreamStopped(t=t, reason="interrupted", totals={}),
        )
        db.execute(
            _INSERT,
            (stream_id, epoch_id, last + 1, stopped.type, time.time(), encode_envelope(stopped).decode()),
        )
        db.execute("UPDATE epoch SET last_offset=? WHERE id=?", (last + 1, epoch_id))
