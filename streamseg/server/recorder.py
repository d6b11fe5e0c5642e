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

from streamseg.envelope import Envelope, encode, wall_time
from streamseg.events import StreamStopped
from streamseg.server.history import HistoryFile, open_history
from streamseg.server.stream import Batch
from streamseg.settings import ServerSettings

log = logging.getLogger(__name__)

RETRY_S = 5.0
_PRUNE_EVERY_S = 5.0
_PRUNE_ROWS = 2000  # so many at a time: a commit must not wait long behind a pruning


class Outcome(NamedTuple):
    """A batch may be sent now; `kept` tells whether it is in the history."""

    batch: Batch
    kept: bool


class Recorder:
    """Writes batches in order, and reports on each by `deliver`, called in this thread."""

    def __init__(
        self,
        path: Path,
        settings: ServerSettings,
        deliver: Callable[[Sequence[Outcome]], None],
        failed: Callable[[str, str], None],
        restored: Callable[[str, str, frozenset[str]], None],
    ) -> None:
        """failed(reason, since) and restored(reason, since, streams with a broken epoch) are called in this thread.

        Raises HistoryFailed when the path can never work.
        """
        self._wanted = path
        self._settings = settings
        self._deliver, self._failed, self._restored = deliver, failed, restored
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._broken: set[tuple[str, str | None]] = set()
        self._since: str | None = None
        self._why = ""
        self._next_try = 0.0
        self._next_prune = 0.0
        self._streams: dict[str, int] = {}
        self._epochs: dict[tuple[str, str], int] = {}
        self._file: HistoryFile | None = None
        self._thread = threading.Thread(target=self._run, name="streamseg-history", daemon=True)
        try:
            self._open()
        except sqlite3.Error as error:
            self._fail(error)

    @property
    def path(self) -> Path:
        """The file that is written; another one than asked when that was in use."""
        return self._file.path if self._file is not None else self._wanted

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
        if self._file is not None:
            self._file.close()

    def _gather(self) -> tuple[list[Batch], bool]:
        """What has come meanwhile, after waiting a while for the first; and whether it was the last."""
        gathered: list[Batch] = []
        wait_s = min(RETRY_S, _PRUNE_EVERY_S)
        while True:
            try:
                batch = self._queue.get(timeout=0 if gathered else wait_s)
            except queue.Empty:
                return gathered, False
            if batch is None:
                return gathered, True
            gathered.append(batch)

    def _record(self, work: list[Batch]) -> None:
        if self._since is None:
            whole = [batch for batch in work if batch.epoch and (batch.stream, batch.epoch) not in self._broken]
            try:
                self._commit(whole)
            except sqlite3.Error as error:
                self._fail(error)
        outcomes = []
        for batch in work:
            if self._since is not None and batch.epoch and batch.said:
                self._broken.add((batch.stream, batch.epoch))
            outcomes.append(Outcome(batch, kept=(batch.stream, batch.epoch) not in self._broken))
        self._deliver(outcomes)

    def _commit(self, batches: list[Batch]) -> None:
        if not batches:
            return
        now = time.time()
        with _Transaction(self, self._connection) as db:
            for batch in batches:
                self._append(db, batch, now)

    def _append(self, db: sqlite3.Connection, batch: Batch, now: float) -> None:
        stream_id, epoch_id = self._ids(batch.stream, batch.epoch or "")
        if not batch.said:
            return
        db.executemany(
            "INSERT INTO event (stream_id, epoch_id, offset, type, kept_at, json) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (stream_id, epoch_id, said.envelope.offset, said.envelope.type, now, said.json.decode())
                for said in batch.said
            ],
        )
        closed = any(said.envelope.type == StreamStopped.type for said in batch.said)
        db.execute(
            "UPDATE epoch SET last_offset=?, t=max(t, ?), closed=? WHERE id=?",
            (
                batch.said[-1].envelope.offset,
                batch.position.t if batch.position else 0.0,
                closed,
                epoch_id,
            ),
        )

    def _ids(self, stream: str, epoch: str) -> tuple[int, int]:
        db = self._connection
        if stream not in self._streams:
            db.execute("INSERT OR IGNORE INTO stream (name) VALUES (?)", (stream,))
            (self._streams[stream],) = db.execute("SELECT id FROM stream WHERE name=?", (stream,)).fetchone()
        stream_id = self._streams[stream]
        if (stream, epoch) not in self._epochs:
            db.execute("INSERT OR IGNORE INTO epoch (stream_id, epoch) VALUES (?, ?)", (stream_id, epoch))
            (epoch_id,) = db.execute(
                "SELECT id FROM epoch WHERE stream_id=? AND epoch=?", (stream_id, epoch)
            ).fetchone()
            for old in [key for key in self._epochs if key[0] == stream]:
                del self._epochs[old]
            self._epochs[stream, epoch] = epoch_id
        return stream_id, self._epochs[stream, epoch]

    def forget_ids(self) -> None:
        """What a rolled-back transaction numbered does not exist."""
        self._streams.clear()
        self._epochs.clear()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._file is None:
            raise sqlite3.OperationalError("the history is not open")
        return self._file.connection

    def _open(self) -> None:
        self._file = open_history(self._wanted, durable=self._settings.durable)
        self.forget_ids()
        with _Transaction(self, self._connection):
            _close_interrupted(self._connection)

    def _fail(self, error: sqlite3.Error) -> None:
        self._since = wall_time(time.time())
        self._why = str(error)
        self._next_try = time.monotonic() + RETRY_S
        log.warning("history %s cannot be written (%s); events go on live but are not kept", self.path, error)
        self._failed(self._why, self._since)

    def _retry_if_due(self) -> None:
        if self._since is None or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + RETRY_S
        try:
            if self._file is None or "malformed" in self._why or "not a database" in self._why:
                if self._file is not None:
                    self._file.close()
                    self._file = None
                self._open()
            with _Transaction(self, self._connection) as db:
                for stream, epoch in self._broken:
                    _, epoch_id = self._ids(stream, epoch or "")
                    db.execute("UPDATE epoch SET broken=1, closed=1 WHERE id=?", (epoch_id,))
                # A broken epoch's mark takes no new page; the disk must have room for more than that.
                db.execute("CREATE TABLE room (x)")
                db.execute("INSERT INTO room VALUES (zeroblob(65536))")
                db.execute("DROP TABLE room")
        except sqlite3.Error as error:
            self._why = str(error)
            return
        since, self._since = self._since, None
        log.warning("history %s is written again", self.path)
        self._restored(self._why, since, frozenset(stream for stream, _ in self._broken))

    def _prune_if_due(self) -> None:
        if self._since is not None or time.monotonic() < self._next_prune:
            return
        try:
            with _Transaction(self, self._connection) as db:
                more = _prune(db, self._settings.history_events, time.time() - self._settings.history_s)
        except sqlite3.Error as error:
            self._fail(error)
        else:
            self._next_prune = 0.0 if more else time.monotonic() + _PRUNE_EVERY_S


class _Transaction:
    """All or nothing; what was rolled back is forgotten too."""

    def __init__(self, recorder: Recorder, db: sqlite3.Connection) -> None:
        self._recorder = recorder
        self._db = db

    def __enter__(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
                return
        except sqlite3.Error:
            self._undo()
            raise
        self._undo()

    def _undo(self) -> None:
        self._recorder.forget_ids()
        if self._db.in_transaction:  # some failures have rolled back already
            self._db.execute("ROLLBACK")


def _close_interrupted(db: sqlite3.Connection) -> None:
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
            time=wall_time(time.time()),
            datacontenttype="application/json",
            epoch=epoch,
            offset=last + 1,
            rev=rev,
            data=StreamStopped(t=t, reason="interrupted", totals={}),
        )
        db.execute(
            "INSERT INTO event (stream_id, epoch_id, offset, type, kept_at, json) VALUES (?, ?, ?, ?, ?, ?)",
            (stream_id, epoch_id, last + 1, stopped.type, time.time(), encode(stopped).decode()),
        )
        db.execute("UPDATE epoch SET last_offset=? WHERE id=?", (last + 1, epoch_id))


def _prune(db: sqlite3.Connection, events: int, since: float) -> bool:
    """Drop each stream's oldest events beyond the limits; true when there is more to do."""
    more = False
    for (stream_id,) in db.execute("SELECT id FROM stream").fetchall():
        (count,) = db.execute("SELECT count(*) FROM event WHERE stream_id=?", (stream_id,)).fetchone()
        oldest = db.execute(
            "SELECT id, kept_at FROM event WHERE stream_id=? ORDER BY epoch_id, offset LIMIT ?",
            (stream_id, _PRUNE_ROWS),
        ).fetchall()
        doomed = 0  # always the oldest ones in order, whatever the clock did: what is left has no holes
        while doomed < len(oldest) and (count - doomed > events or oldest[doomed][1] < since):
            doomed += 1
        db.executemany("DELETE FROM event WHERE id=?", [(row[0],) for row in oldest[:doomed]])
        more = more or doomed == _PRUNE_ROWS
    db.execute(
        "DELETE FROM epoch WHERE closed AND id NOT IN (SELECT epoch_id FROM event)"
        " AND id < (SELECT max(id) FROM epoch) - 1000"
    )
    return more
