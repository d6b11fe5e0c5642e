"""Opens the file of the history: one SQLite file per installation.

Why SQLite in WAL mode: readers (a resuming client) never wait for the writer nor the writer for them, and a commit
is one append. `synchronous=NORMAL` loses nothing when the process is killed, because a commit has reached the
operating system; a power cut may lose the last commits, but never damages the file. `durable` sets `FULL`: one fsync
a commit, and a power cut loses nothing.

Order is `(epoch number, offset)`. Epochs are numbered as they begin, not by their ULID, so a clock set back
between two runs cannot reorder them.

Beside it lies `NAME.lock`, locked for as long as the file is open for writing. Its one byte tells whether the epochs
that are open in the history are complete. On a full disk the history cannot record that; a byte that exists already can
be overwritten.
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
from streamseg.history.file_lock import HistoryLockFile
from streamseg.history.file_watch import HistoryFileLoss, HistoryFileWatch
from streamseg.history.migrations import NewerVersionError, migrate_database, write_transaction
from streamseg.history.sqlite_file import (
    DatabaseKind,
    companion_path,
    connect_database,
    is_streamseg_lock_file,
    move_to_backup,
    refuse_foreign_companions,
    refuse_foreign_file,
)

log = logging.getLogger(__name__)

KIND = DatabaseKind("history", 0x53534548, frozenset({"stream", "epoch", "event"}), "--history", is_locked=True)
_OUR_NAME = re.compile(r"history(-\d)?\.sqlite")  # the default; a file of that name is ours whatever it contains
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # there may be room again; other faults of a path are final
_MAX_FILES = 9  # of the servers of one user that run at the same time

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
    # An epoch whose end could not be written must not be taken for complete.
    "ALTER TABLE epoch ADD COLUMN broken INTEGER NOT NULL DEFAULT 0;",
    # Each opening writes a new token, so that a content that another file replaced is noticed.
    "CREATE TABLE generation (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL);",
)
_COLUMNS = (
    "SELECT id, name FROM stream LIMIT 0",
    "SELECT id, stream_id, epoch, last_offset, t, closed, broken FROM epoch LIMIT 0",
    "SELECT id, stream_id, epoch_id, offset, type, kept_at, json FROM event LIMIT 0",
    "SELECT id, token FROM generation LIMIT 0",
)


class WritableHistory:
    """A history file that `open_history` has opened for writing: checked, locked, and migrated to this version.

    path: the requested one, or one beside it if another process used that.
    """

    def __init__(
        self, path: Path, lock: HistoryLockFile, connection: sqlite3.Connection, file_watch: HistoryFileWatch
    ) -> None:
        self.path = path
        self.connection = connection
        self.lock = lock
        self._file_watch = file_watch

    def find_file_loss(self, *, check_content_now: bool = False) -> HistoryFileLoss | None:
        """Check whether the history file was deleted, replaced, damaged or locked by others; return how, None if not.

        A deleted lock file is made again. check_content_now: read the content now, not only once a second.
        """
        loss = self._file_watch.find_file_loss(check_content_now=check_content_now)
        if loss is None and not self.lock.relock_if_deleted_or_replaced():
            return HistoryFileLoss("taken", "its lock was taken by another process")
        return loss

    def close_and_move_to_backup(self, loss: HistoryFileLoss) -> None:
        """Close a history whose file was lost, and rename what is left of the file, so that the path is free again.

        A file that another process uses now (kind "taken") is not renamed.
        """
        if loss.kind in ("gone", "log"):
            try:  # the deleted or moved file is still open: save its last events in it
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                log.warning("history %s: its last events could not be saved (%s)", self.path, error)
        try:
            # Rename before closing: closing would write into the file now at this path, and remove its companions.
            # Windows cannot rename an open file; nor can another file have come to this path while ours was open.
            if sys.platform == "win32":
                self.connection.close()
            if loss.kind != "taken":
                backup = self._file_watch.move_files_to_backup(loss)
                log.warning("history %s is lost (%s); what is left was set aside as %s", self.path, loss.reason, backup)
        finally:
            self.close()

    def close(self) -> None:
        """Close the history file, and unlock it for other processes."""
        self.connection.close()
        self.lock.close()


def refuse_foreign_history(path: Path) -> None:
    """Raise UsageError if a file that is not a history of streamseg lies at `path`. Changes no file.

    The same holds for the paths `name-2`, `name-3` … beside it, and for the files that SQLite writes beside each.
    """
    for candidate in _candidate_paths(path):
        refuse_foreign_file(candidate, KIND, allow_damaged=_is_history_file(candidate))


def open_history(asked_path: Path, *, durable: bool = False, after_loss: bool = False) -> WritableHistory:
    """Open or make the history file at `asked_path` and lock it; if another process uses it, open one beside it.

    A file that another process uses is left alone, and the next of `name-2`, `name-3` … is opened; a damaged one of
    ours, or one of a newer version, is renamed and a new one made. Both are logged as warnings.

    durable: each commit survives a power cut. after_loss: the history at this path was open and was lost, so a file
    there that is no history of ours is left alone like one in use.

    Raises UsageError when what lies there is no history of ours, HistoryError when it cannot be written, sqlite3.Error
    or OSError when the disk is full or failing.
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
            if path == asked_path and not after_loss:
                raise
            log.warning("%s", foreign)
            continue
        if file is not None:
            if path != asked_path:
                log.warning("events are kept in %s instead", path)
            return file
    raise HistoryError(f"history {asked_path} and {_MAX_FILES - 1} beside it are in use; name another with --history")


def _candidate_paths(path: Path) -> Iterator[Path]:
    """Yield the paths to try, in order. Raises UsageError for a path without a file name."""
    if not path.name:
        raise UsageError(f"{KIND.option} is given no file's name")
    yield path
    for n in range(2, _MAX_FILES + 1):
        yield path.with_stem(f"{path.stem}-{n}")


def _is_history_file(path: Path) -> bool:
    """Return whether streamseg made the file, by its name or by the lock beside it."""
    return _OUR_NAME.fullmatch(path.name) is not None or is_streamseg_lock_file(companion_path(path, ".lock"))


def _open_if_free(path: Path, durable: bool) -> WritableHistory | None:
    """Open the file; None, with a warning, where another process uses it."""
    lock_path = companion_path(path, ".lock")
    is_ours = _is_history_file(path)
    refuse_foreign_companions(path, KIND)  # before the lock is opened: another program's is neither locked nor written
    if not lock_path.exists():
        refuse_foreign_file(path, KIND, allow_damaged=is_ours)  # before anything is made beside it
    lock = _acquire_lock(path, lock_path)
    if lock is None:
        log.warning("history %s is in use by another process; it is left alone", path)
        return None
    try:
        refuse_foreign_file(path, KIND, allow_damaged=is_ours)
        connection, generation = _open_or_replace(path, durable)
        return WritableHistory(path, lock, connection, HistoryFileWatch(path, generation))
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


def _acquire_lock(path: Path, lock_path: Path) -> HistoryLockFile | None:
    try:
        return HistoryLockFile(lock_path)
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
        raise  # disk full, locked, not permitted: the file itself may be intact
    except (sqlite3.DatabaseError, NewerVersionError) as error:
        backup = move_to_backup(path)
        log.warning("history %s cannot be used (%s); it was set aside as %s and a new one begun", path, error, backup)
        return _open_checked(path, durable)


def _open_checked(path: Path, durable: bool) -> tuple[sqlite3.Connection, str]:
    """Open a file that is intact, and migrate it; returns the connection and the token of this opening."""
    connection = connect_database(path, durable=durable)
    generation = secrets.token_hex(8)
    try:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        _prepare_tables(connection)
        connection.execute(f"PRAGMA application_id={KIND.application_id}")
        connection.execute("INSERT OR REPLACE INTO generation VALUES (1, ?)", (generation,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the token is in the file itself
    except BaseException:
        connection.close()
        raise
    return connection, generation


def _prepare_tables(connection: sqlite3.Connection) -> None:
    """Migrate the tables. Raises sqlite3.DatabaseError where they are not those of the file's version."""
    try:
        with write_transaction(connection):
            migrate_database(connection, MIGRATIONS)
        for columns in _COLUMNS:
            connection.execute(columns)
    except sqlite3.OperationalError as error:
        if any(sign in str(error) for sign in ("no such", "already exists", "duplicate column")):
            raise sqlite3.DatabaseError(str(error)) from None
        raise
