"""Checks that the files of an open history were not deleted, replaced or damaged.

A program keeps a file open however it is deleted, replaced or truncated at its path: SQLite goes on writing into it,
and nobody can read it again. So after each commit the files at their paths are compared with those that were opened,
and once a second a new connection reads the token that this opening wrote.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Literal, NamedTuple

from streamseg.history.sqlite_file import WAL_ENDINGS, companion_path, make_backup_path, move_to_backup, query_database

_CHECK_INTERVAL_S = 1.0

FileIdentity = tuple[int, int] | None  # device and inode


class HistoryFileLoss(NamedTuple):
    """How the file of a history was lost while it was open: the kind of loss, and the reason in words.

    kind: `gone` (deleted, moved or replaced), `log` (complete except for the log beside it), `damaged`, or `taken`
    (another process uses it). reason: for the log and for clients.
    """

    kind: Literal["gone", "log", "damaged", "taken"]
    reason: str


class HistoryFileWatch:
    """Detects, at each call of `find_file_loss`, if the files of one open history were deleted, replaced or damaged."""

    def __init__(self, path: Path, generation: str) -> None:
        """path: of the file, just opened. generation: the token that this opening wrote into the table `generation`."""
        self._path = path
        self._generation = generation
        self._identity = _file_identity(path)
        self._wal_identities = {ending: _file_identity(companion_path(path, ending)) for ending in WAL_ENDINGS}
        self._size = path.stat().st_size
        self._next_check_at = time.monotonic() + _CHECK_INTERVAL_S

    def find_file_loss(self, *, check_content_now: bool = False) -> HistoryFileLoss | None:
        """Check whether the history's files were deleted, replaced or damaged; return how, None if not.

        check_content_now: read the token now, not only once a second.
        """
        loss = self._find_missing_file() or self._find_damage(check_content_now=check_content_now)
        # The file may have been replaced during the check: then the damage is not in the file that was opened.
        return loss and (self._find_missing_file() or loss)

    def _find_missing_file(self) -> HistoryFileLoss | None:
        """Return a loss where another file, or none, lies at the path."""
        present = _file_identity(self._path)
        if present is None:
            return HistoryFileLoss("gone", "its file was deleted")
        return None if present == self._identity else HistoryFileLoss("gone", "its file was replaced by another")

    def _find_damage(self, *, check_content_now: bool) -> HistoryFileLoss | None:
        try:
            size = self._path.stat().st_size
        except OSError:
            return HistoryFileLoss("gone", "its file was deleted")
        for ending, identity in self._wal_identities.items():
            if _file_identity(companion_path(self._path, ending)) != identity:
                return HistoryFileLoss("log", f"its {ending} file was deleted or replaced")
        if size < self._size:
            self._size = size
            if not self._is_intact():  # it may have been vacuumed
                return HistoryFileLoss("damaged", "its file was truncated")
        self._size = size
        if check_content_now or time.monotonic() >= self._next_check_at:
            self._next_check_at = time.monotonic() + _CHECK_INTERVAL_S
            if (damage := self._check_generation()) is not None:
                return HistoryFileLoss("damaged", damage)
        return None

    def move_files_to_backup(self, loss: HistoryFileLoss) -> Path:
        """Rename what is left of a lost history's files to a new path in the same folder; return that path.

        Of a file that is gone, that is what still lies beside its path: SQLite would use it with the next file there.
        """
        if loss.kind != "gone" and self._find_missing_file() is None:
            return move_to_backup(self._path)
        backup = make_backup_path(self._path)
        for ending, identity in self._wal_identities.items():
            companion = companion_path(self._path, ending)
            if identity is not None and _file_identity(companion) == identity:
                with contextlib.suppress(OSError):
                    companion.rename(companion_path(backup, ending))
        return backup

    def _check_generation(self) -> str | None:
        """Return what is wrong with the content, read by a connection of its own; None where the token is ours."""
        try:
            row = query_database(self._path, lambda db: db.execute("SELECT token FROM generation").fetchone())
        except sqlite3.OperationalError as error:
            return "its tables were dropped" if "no such" in str(error) else None  # busy, or too many open files
        except sqlite3.DatabaseError as error:
            return f"its content was damaged ({error})"
        return None if row == (self._generation,) else "its content was replaced"

    def _is_intact(self) -> bool:
        try:
            result = query_database(self._path, lambda db: db.execute("PRAGMA quick_check(1)").fetchone())
            return bool(result == ("ok",)) and self._check_generation() is None
        except sqlite3.Error:
            return False


def _file_identity(path: Path) -> FileIdentity:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
