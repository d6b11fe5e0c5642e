"""Whether the history's files are still those that were opened.

A program holds a file open however it is deleted, replaced or cut at its path: SQLite goes on writing, and nobody can
read it again. So after each commit the files at their paths are compared with those that were opened, and once a
second a fresh connection looks for the row that this opening wrote.
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


class HistoryLoss(NamedTuple):
    """What happened to an open history.

    kind: `gone` (deleted, moved or replaced), `log` (whole but for the log beside it), `damaged`, or `taken` (by
    another process, which uses it).
    """

    kind: Literal["gone", "log", "damaged", "taken"]
    reason: str


class HistoryFileWatch:
    """Compares the files of one open history with what was opened."""

    def __init__(self, path: Path, generation: str) -> None:
        """generation: what the table `generation` holds since this opening."""
        self._path = path
        self._generation = generation
        self._file = _file_identity(path)
        self._wal_path = {ending: _file_identity(companion_path(path, ending)) for ending in WAL_ENDINGS}
        self._size = path.stat().st_size
        self._next_check_at = time.monotonic() + _CHECK_INTERVAL_S

    def find_loss(self, *, thorough: bool = False) -> HistoryLoss | None:
        """What happened to the files since they were opened; None while all is well.

        thorough: the content is looked into whenever that was last done.
        """
        loss = self._find_missing_file() or self._find_damage(thorough=thorough)
        # The file may have been replaced while it was looked into: then the damage is no damage to ours.
        return loss and (self._find_missing_file() or loss)

    def _find_missing_file(self) -> HistoryLoss | None:
        """Whether another file, or none, lies at the path."""
        now = _file_identity(self._path)
        if now is None:
            return HistoryLoss("gone", "its file was deleted")
        return None if now == self._file else HistoryLoss("gone", "its file was replaced by another")

    def _find_damage(self, *, thorough: bool) -> HistoryLoss | None:
        try:
            size = self._path.stat().st_size
        except OSError:
            return HistoryLoss("gone", "its file was deleted")
        for ending, before in self._wal_path.items():
            if _file_identity(companion_path(self._path, ending)) != before:
                return HistoryLoss("log", f"its {ending} file was deleted or replaced")
        if size < self._size:
            self._size = size
            if not self._is_intact():  # it may have been vacuumed
                return HistoryLoss("damaged", "its file was truncated")
        self._size = size
        if thorough or time.monotonic() >= self._next_check_at:
            self._next_check_at = time.monotonic() + _CHECK_INTERVAL_S
            if (wrong := self._read_generation()) is not None:
                return HistoryLoss("damaged", wrong)
        return None

    def set_aside(self, loss: HistoryLoss) -> Path:
        """Rename what is left of the files; returns the new name.

        Of a file that is gone, what still lies beside its path: it would be taken for that of the next file there.
        """
        if loss.kind != "gone" and self._find_missing_file() is None:
            return move_to_backup(self._path)
        aside = make_backup_path(self._path)
        for ending, before in self._wal_path.items():
            part = companion_path(self._path, ending)
            if before is not None and _file_identity(part) == before:
                with contextlib.suppress(OSError):
                    part.rename(companion_path(aside, ending))
        return aside

    def _read_generation(self) -> str | None:
        """What is wrong with the content, as a stranger finds it."""
        try:
            row = query_database(self._path, lambda db: db.execute("SELECT token FROM generation").fetchone())
        except sqlite3.OperationalError as error:
            return "its tables were dropped" if "no such" in str(error) else None  # busy, or too many open files
        except sqlite3.DatabaseError as error:
            return f"its content was damaged ({error})"
        return None if row == (self._generation,) else "its content was replaced"

    def _is_intact(self) -> bool:
        try:
            checked = query_database(self._path, lambda db: db.execute("PRAGMA quick_check(1)").fetchone())
            return bool(checked == ("ok",)) and self._read_generation() is None
        except sqlite3.Error:
            return False


def _file_identity(path: Path) -> FileIdentity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
