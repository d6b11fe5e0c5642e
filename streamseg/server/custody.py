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

from streamseg.server.database import WAL_ENDINGS, name_aside, path_beside, query, set_aside

_LOOK_EVERY_S = 1.0

Identity = tuple[int, int] | None  # device and inode


class Loss(NamedTuple):
    """What happened to an open history.

    kind: `gone` (deleted, moved or replaced), `log` (whole but for the log beside it), `damaged`, or `taken` (by
    another process, which uses it).
    """

    kind: Literal["gone", "log", "damaged", "taken"]
    reason: str


class Custody:
    """Compares the files of one open history with what was opened."""

    def __init__(self, path: Path, generation: str) -> None:
        """generation: what the table `generation` holds since this opening."""
        self._path = path
        self._generation = generation
        self._file = _identity(path)
        self._beside = {ending: _identity(path_beside(path, ending)) for ending in WAL_ENDINGS}
        self._size = path.stat().st_size
        self._look_at = time.monotonic() + _LOOK_EVERY_S

    def find_loss(self, *, thorough: bool = False) -> Loss | None:
        """What happened to the files since they were opened; None while all is well.

        thorough: the content is looked into whenever that was last done.
        """
        loss = self._find_absence() or self._find_damage(thorough=thorough)
        # The file may have been replaced while it was looked into: then the damage is no damage to ours.
        return loss and (self._find_absence() or loss)

    def _find_absence(self) -> Loss | None:
        """Whether another file, or none, lies at the path."""
        now = _identity(self._path)
        if now is None:
            return Loss("gone", "its file was deleted")
        return None if now == self._file else Loss("gone", "its file was replaced by another")

    def _find_damage(self, *, thorough: bool) -> Loss | None:
        try:
            size = self._path.stat().st_size
        except OSError:
            return Loss("gone", "its file was deleted")
        for ending, before in self._beside.items():
            if _identity(path_beside(self._path, ending)) != before:
                return Loss("log", f"its {ending} file was deleted or replaced")
        if size < self._size:
            self._size = size
            if not self._is_sound():  # it may have been vacuumed
                return Loss("damaged", "its file was truncated")
        self._size = size
        if thorough or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            if (wrong := self._look()) is not None:
                return Loss("damaged", wrong)
        return None

    def set_aside(self, loss: Loss) -> Path:
        """Rename what is left of the files; returns the new name.

        Of a file that is gone, what still lies beside its path: it would be taken for that of the next file there.
        """
        if loss.kind != "gone" and self._find_absence() is None:
            return set_aside(self._path)
        aside = name_aside(self._path)
        for ending, before in self._beside.items():
            part = path_beside(self._path, ending)
            if before is not None and _identity(part) == before:
                with contextlib.suppress(OSError):
                    part.rename(path_beside(aside, ending))
        return aside

    def _look(self) -> str | None:
        """What is wrong with the content, as a stranger finds it."""
        try:
            row = query(self._path, lambda db: db.execute("SELECT token FROM generation").fetchone())
        except sqlite3.OperationalError as error:
            return "its tables were dropped" if "no such" in str(error) else None  # busy, or too many open files
        except sqlite3.DatabaseError as error:
            return f"its content was damaged ({error})"
        return None if row == (self._generation,) else "its content was replaced"

    def _is_sound(self) -> bool:
        try:
            checked = query(self._path, lambda db: db.execute("PRAGMA quick_check(1)").fetchone())
            return bool(checked == ("ok",)) and self._look() is None
        except sqlite3.Error:
            return False


def _identity(path: Path) -> Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
