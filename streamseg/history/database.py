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
import logging
import re
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from streamseg.errors import HistoryError, UsageError
from streamseg.history.file_lock import HistoryLock
from streamseg.history.file_watch import HistoryFileWatch, HistoryLoss
from streamseg.history.sqlite_file import (
    DatabaseKind,
    companion_path,
    connect_database,
    is_our_lock,
    move_to_backup,
    refuse_foreign_companions,
    refuse_foreign_file,
)

__all__ = ["MIGRATIONS", "OpenHistory", "check_history", "connect_database", "open_history"]

log = logging.getLogger(__name__)

KIND = DatabaseKind("history", 0x53534548, frozenset({"stream", "epoch", "event"}), "--history", is_locked=True)
_OUR_NAME = re.compile(r"history(-\d)?\.sqlite")  # the default one; a file of that name is ours whatever it holds
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # it may come back; other faults of a path will not
_MAX_FILES = 9  # as many servers of one user may run at once, each with a history of its own

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
    # Each opening writes a token of its own, so that it is noticed when the content becomes another file's.
    "CREATE TABLE generation (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL);",
)
_COLUMNS = (
    "SELECT id, name FROM stream LIMIT 0",
    "SELECT id, stream_id, epoch, last_offset, t, closed, broken FROM epoch LIMIT 0",
    "SELECT id, stream_id, epoch_id, offset, type, kept_at, json FROM event LIMIT 0",
    "SELECT id, token FROM generation LIMIT 0",
)


class OpenHistory:
    """An open, current, sound history file that nobody else writes. `path` may differ from what was asked."""

    def __init__(
        self, path: Path, lock: HistoryLock, connection: sqlite3.Connection, custody: HistoryFileWatch
    ) -> None:
        self.path = path
        self.connection = connection
        self.lock = lock
        self._custody = custody

    def find_loss(self, *, thorough: bool = False) -> HistoryLoss | None:
        """What happened to the file at its path since it was opened; None while all is well.

        thorough: its content is looked into now, and not only once a second.
        """
        loss = self._custody.find_loss(thorough=thorough)
        if loss is None and not self.lock.replace():
            return HistoryLoss("taken", "its lock was taken by another process")
        return loss

    def close_lost(self, loss: HistoryLoss) -> None:
        """Close a file that is lost: what is left of it is set aside, so that a new one can be begun at its path."""
        if loss.kind in ("gone", "log"):
            try:  # the connection still holds what was deleted or moved: its last events are saved in it
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                log.warning("history %s: its last events could not be saved (%s)", self.path, error)
        try:
            # Renamed before it is closed: closing would write into a file at this path, and remove what lies beside.
            # Windows renames no open file; nor can another file have come to this path while ours was open.
            if sys.platform == "win32":
                self.connection.close()
            if loss.kind != "taken":
                aside = self._custody.set_aside(loss)
                log.warning("history %s is lost (%s); what is left was set aside as %s", self.path, loss.reason, aside)
        finally:
            self.close()

    def close(self) -> None:
        """Give the file free."""
        self.connection.close()
        self.lock.close()


def check_history(wanted: Path) -> None:
    """Look, without changing anything, whether a history may be kept at a path.

    Raises AskedWrongly where a file of another kind lies there, at a name that would be taken while it is in use, or
    beside one of them.
    """
    for path in _candidate_paths(wanted):
        refuse_foreign_file(path, KIND, trusted=_is_history_file(path))


def open_history(asked_path: Path, *, durable: bool = False, anew: bool = False) -> OpenHistory:
    """Open or make a history file.

    A file in use by another process is left alone and the next of `name-2`, `name-3` … is taken; a damaged one of
    ours, or one of a newer version, is renamed and a new one begun. Both are said as warnings.
    anew: it was open and was lost; what is no history of ours is passed over like one that is in use.
    Raises AskedWrongly when what lies there is no history of ours, HistoryFailed when it cannot be written,
    sqlite3.Error or OSError when the disk is full or failing.
    """
    try:
        asked_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise HistoryError(
            f"cannot make the folder of the history {asked_path}: {error.strerror}; name another with --history"
        ) from None
    for path in _candidate_paths(asked_path):
        try:
            file = _open_if_free(path, durable)
        except UsageError as foreign:
            if path == asked_path and not anew:
                raise
            log.warning("%s", foreign)
            continue
        if file is not None:
            if path != asked_path:
                log.warning("events are kept in %s instead", path)
            return file
    raise HistoryError(f"history {asked_path} and {_MAX_FILES - 1} beside it are in use; name another with --history")


def _candidate_paths(wanted: Path) -> Iterator[Path]:
    """The names that are tried, in order. Raises AskedWrongly where there is none."""
    if not wanted.name:
        raise UsageError(f"{KIND.option} is given no file's name")
    yield wanted
    for n in range(2, _MAX_FILES + 1):
        yield wanted.with_stem(f"{wanted.stem}-{n}")


def _is_history_file(path: Path) -> bool:
    """Whether we made the file, by its name or by the lock beside it."""
    return _OUR_NAME.fullmatch(path.name) is not None or is_our_lock(companion_path(path, ".lock"))


def _open_if_free(path: Path, durable: bool) -> OpenHistory | None:
    """The file, or None with a warning where somebody else uses it."""
    beside = companion_path(path, ".lock")
    ours = _is_history_file(path)
    refuse_foreign_companions(path, KIND)  # a stranger's lock is neither held nor written
    if not beside.exists():
        refuse_foreign_file(path, KIND, trusted=ours)  # before anything is made beside it
    lock = _acquire_lock(path, beside)
    if lock is None:
        log.warning("history %s is in use by another process; it is left alone", path)
        return None
    try:
        refuse_foreign_file(path, KIND, trusted=ours)
        connection, generation = _open_or_replace(path, durable)
        return OpenHistory(path, lock, connection, HistoryFileWatch(path, generation))
    except sqlite3.OperationalError as error:
        lock.close()
        if "readonly" in str(error) or "unable to open" in str(error):
            raise HistoryError(f"cannot write the history {path} ({error}); name another with --history") from None
        if "locked" not in str(error):
            raise
        log.warning("history %s is locked by another program; it is left alone", path)
        return None
    except BaseException:
        lock.close()
        raise


def _acquire_lock(path: Path, beside: Path) -> HistoryLock | None:
    try:
        return HistoryLock(beside)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise HistoryError(f"cannot write the history {path}: {error.strerror}; name another with --history") from None


def _open_or_replace(path: Path, durable: bool) -> tuple[sqlite3.Connection, str]:
    try:
        return _open_checked(path, durable)
    except sqlite3.OperationalError:
        raise  # full, locked, not permitted: the file itself may be sound
    except (sqlite3.DatabaseError, _NewerVersionError) as error:
        aside = move_to_backup(path)
        log.warning("history %s cannot be used (%s); it was set aside as %s and a new one begun", path, error, aside)
        return _open_checked(path, durable)


class _NewerVersionError(Exception):
    pass


def _open_checked(path: Path, durable: bool) -> tuple[sqlite3.Connection, str]:
    """A connection, and the token of this opening."""
    connection = connect_database(path, durable=durable)
    generation = secrets.token_hex(8)
    try:
        (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        _prepare_tables(connection)
        connection.execute(f"PRAGMA application_id={KIND.application_id}")
        connection.execute("INSERT OR REPLACE INTO generation VALUES (1, ?)", (generation,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the token shall be found in the file itself
    except BaseException:
        connection.close()
        raise
    return connection, generation


def _prepare_tables(connection: sqlite3.Connection) -> None:
    """Bring the tables to our version. Raises DatabaseError where they are not what the version says."""
    try:
        _migrate(connection)
        for columns in _COLUMNS:
            connection.execute(columns)
    except sqlite3.OperationalError as error:
        if any(sign in str(error) for sign in ("no such", "already exists", "duplicate column")):
            raise sqlite3.DatabaseError(str(error)) from None
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise _NewerVersionError(f"its version {version} is newer than ours, {len(MIGRATIONS)}")
    for step in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version={step + 1}; COMMIT;")
