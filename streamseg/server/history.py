"""The event log on disk: one SQLite file per installation.

Why SQLite in WAL mode: readers (a resuming client) never wait for the writer nor the writer for them, and a commit
is one append. `synchronous=NORMAL` loses nothing when the process is killed, because a commit has reached the
operating system; a power cut may take the last commits with it, but never damages the file. `durable` sets `FULL`:
one fsync a commit, nothing lost then either.

Order is `(epoch number, offset)`. Epochs are numbered as they begin, not by their ULID, so a clock set back
between two runs cannot reorder them.

Beside it lies `NAME.lock`, held for as long as the file is written. Its one byte says whether the epochs that are open
in the log are whole. On a full disk the log cannot say so any more; a byte that is there already can be overwritten.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import time
from pathlib import Path

from streamseg.errors import HistoryFailed

log = logging.getLogger(__name__)

_BUSY_S = 1.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # it may come back; other faults of a path will not
_CANDIDATES = 9  # as many servers of one user may run at once, each with a history of its own

# Each entry brings a file from the version before; `user_version` says how many were applied.
MIGRATIONS = (
    """
    CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE epoch (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stream_id INTEGER NOT NULL REFERENCES stream,
        epoch TEXT NOT NULL,
        last_offset INTEGER NOT NULL DEFAULT 0,
        t REAL NOT NULL DEFAULT 0,
        closed INTEGER NOT NULL DEFAULT 0,
        UNIQUE (stream_id, epoch)
    );
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        stream_id INTEGER NOT NULL,
        epoch_id INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        type TEXT NOT NULL,
        kept_at REAL NOT NULL,
        json TEXT NOT NULL
    );
    CREATE UNIQUE INDEX event_order ON event (stream_id, epoch_id, offset, type);
    """,
    # An epoch whose end could not be written must not be taken for whole.
    "ALTER TABLE epoch ADD COLUMN broken INTEGER NOT NULL DEFAULT 0;",
)


class Lock:
    """The file beside the history: held for as long as we run; the system frees it however we end."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when another process holds it, OSError when it cannot be made or has no room."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.pread(self._file, 1, 0):
                os.pwrite(self._file, b"1", 0)  # from now on there is room for it
        except BaseException:
            os.close(self._file)
            raise

    @property
    def whole(self) -> bool:
        """Whether everything said in the epochs that are open in the log was kept."""
        return os.pread(self._file, 1, 0) != b"0"

    @whole.setter
    def whole(self, whole: bool) -> None:
        os.pwrite(self._file, b"1" if whole else b"0", 0)
        os.fsync(self._file)

    def close(self) -> None:
        """Let go."""
        os.close(self._file)


class HistoryFile:
    """An open, current, sound history file that nobody else writes. `path` may differ from what was asked."""

    def __init__(self, path: Path, lock: Lock, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self.lock = lock

    def close(self) -> None:
        """Give the file free."""
        self.connection.close()
        self.lock.close()


def open_history(wanted: Path, *, durable: bool = False) -> HistoryFile:
    """Open or make a history file.

    A file in use by another process is left alone and the next of `name-2`, `name-3` … is taken; a damaged one,
    or one of a newer version, is renamed and a new one begun. Both are said as warnings.
    Raises HistoryFailed when the folder cannot be written, sqlite3.Error or OSError when the disk is full or failing.
    """
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise HistoryFailed(f"cannot make the folder of the history {wanted}: {error.strerror}") from None
    for n in range(1, _CANDIDATES + 1):
        path = wanted if n == 1 else wanted.with_stem(f"{wanted.stem}-{n}")
        lock = _lock(path)
        if lock is None:
            log.warning("history %s is in use by another process; it is left alone", path)
            continue
        try:
            return HistoryFile(path, lock, _open_or_renew(path, durable))
        except sqlite3.OperationalError as error:
            lock.close()
            if "locked" not in str(error):
                raise
            log.warning("history %s is locked by another program; it is left alone", path)
        except BaseException:
            lock.close()
            raise
    raise HistoryFailed(f"history {wanted} and {_CANDIDATES - 1} beside it are in use; name another with --history")


def connect(path: Path, *, durable: bool = False) -> sqlite3.Connection:
    """A connection with our settings; transactions are begun by hand."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA journal_size_limit=16777216")
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(path: Path) -> Lock | None:
    try:
        return Lock(path.with_name(path.name + ".lock"))
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise HistoryFailed(f"cannot write the history {path}: {error.strerror}; name another with --history") from None


def _open_or_renew(path: Path, durable: bool) -> sqlite3.Connection:
    try:
        return _open(path, durable)
    except sqlite3.OperationalError:
        raise  # full, locked, not permitted: the file itself may be sound
    except (sqlite3.DatabaseError, _Newer) as error:
        aside = path.with_name(f"{path.name}.aside-{time.time_ns()}")
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
        log.warning("history %s cannot be used (%s); it was set aside as %s and a new one begun", path, error, aside)
        return _open(path, durable)


class _Newer(Exception):
    pass


def _open(path: Path, durable: bool) -> sqlite3.Connection:
    connection = connect(path, durable=durable)
    try:
        (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise _Newer(f"its version {version} is newer than ours, {len(MIGRATIONS)}")
    for step in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version={step + 1}; COMMIT;")
