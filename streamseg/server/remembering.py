"""Named sounds on disk, kept from one run to the next: one small SQLite file beside the history.

A file of its own, because the history belongs to the one server that writes it, while names are given from several
sides: by the clients of every running server, and by commands. Each change is one short transaction, so all of them
may have the file open at once.
"""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamseg.errors import AskedWrongly, HistoryFailed
from streamseg.label_names import checked_name
from streamseg.memory import Kind, Memory, Remembered
from streamseg.printable import printable
from streamseg.server import database
from streamseg.server.database import connect

KIND = database.Kind("memory", 0x5353454D, frozenset({"remembered"}), "--memory")
MOST = 1000  # entries; beyond, the one taught longest ago is forgotten
_MOST_BYTES = 2**20

# Each entry brings a file from the version before; `user_version` says how many were applied.
MIGRATIONS = (
    """
    CREATE TABLE remembered (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        stream TEXT NOT NULL,
        content BLOB NOT NULL,
        taught_at REAL NOT NULL
    );
    """,
)


class Entry(Remembered, frozen=True, kw_only=True):
    """A remembered sound with its number in the file, and where and when (Unix seconds) it was taught."""

    id: int
    stream: str
    taught_at: float


class MemoryFile:
    """The file. Every method opens it, does one thing and closes it; all raise HistoryFailed when that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Raise AskedWrongly where something lies at the path that is no memory of ours. Nothing is changed."""
        database.refuse_foreign(self.path, KIND)

    def memory(self) -> Memory:
        """Everything remembered, as the engine takes it. Nothing when there is no file yet."""
        return Memory(
            tuple(Remembered(name=entry.name, kind=entry.kind, content=entry.content) for entry in self.entries())
        )

    def entries(self) -> list[Entry]:
        """Everything remembered, the longest known first."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return []
        self._check_ours()
        try:  # writing nothing, so that a file or folder that may only be read will do
            return database.query(self.path, self._entries)
        except (OSError, sqlite3.Error) as error:
            raise HistoryFailed(f"cannot read the memory {self.path}: {error}; name another with --memory") from None

    def add(self, entry: Remembered, stream: str = "") -> int:
        """Remember a sound; stream: where it was heard. Returns its number.

        The same name may be given to several sounds: all of them are recognised. Raises AskedWrongly for a sound
        of more than 1 MiB, and for a name that `streamseg.label_names` refuses.
        """
        name = checked_name(entry.name)
        if len(entry.content) > _MOST_BYTES:
            raise AskedWrongly(f"{entry.name!r} takes {len(entry.content)} bytes; at most {_MOST_BYTES} are remembered")
        with self._transaction() as db:
            id_ = db.execute(
                "INSERT INTO remembered (kind, name, stream, content, taught_at) VALUES (?, ?, ?, ?, ?)",
                (entry.kind, name, stream, entry.content, time.time()),
            ).lastrowid
            db.execute(
                "DELETE FROM remembered WHERE id NOT IN (SELECT id FROM remembered ORDER BY id DESC LIMIT ?)", (MOST,)
            )
        assert id_ is not None  # noqa: S101  an INSERT has one
        return id_

    def rename(self, old: str, new: str, kind: Kind = "section") -> int:
        """Call every sound of one name by another; returns how many there were. Raises AskedWrongly as `add` does."""
        new = checked_name(new)
        with self._transaction() as db:
            return db.execute("UPDATE remembered SET name=? WHERE name=? AND kind=?", (new, old, kind)).rowcount

    def forget(self, name: str) -> int:
        """Forget every sound of that name, of whatever kind; returns how many there were.

        The name counts as it is kept and as it is shown: an older file may hold names that cannot be typed.
        """
        if not self.path.exists():
            return 0
        asked = {name, unicodedata.normalize("NFC", name).strip()}
        with self._transaction() as db:
            kept = [kept for (kept,) in db.execute("SELECT DISTINCT name FROM remembered")]
            gone = [(kept,) for kept in kept if not asked.isdisjoint((kept, printable(kept)))]
            return sum(db.execute("DELETE FROM remembered WHERE name=?", each).rowcount for each in gone)

    def replace(self, id_: int, entry: Remembered) -> None:
        """Another name or content under the same number; nothing where it was forgotten meanwhile.

        Raises AskedWrongly as `add` does.
        """
        name = checked_name(entry.name)
        with self._transaction() as db:
            db.execute(
                "UPDATE remembered SET kind=?, name=?, content=?, taught_at=? WHERE id=?",
                (entry.kind, name, entry.content, time.time(), id_),
            )

    def _entries(self, db: sqlite3.Connection) -> list[Entry]:
        self._check_version(db)
        rows = db.execute("SELECT id, kind, name, stream, content, taught_at FROM remembered ORDER BY id")
        return [
            Entry(id=id_, kind=kind, name=name, stream=stream, content=content, taught_at=at)
            for id_, kind, name, stream, content, at in rows
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._check_ours()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = connect(self.path)
        except (OSError, sqlite3.Error) as error:
            raise HistoryFailed(f"cannot open the memory {self.path}: {error}; name another with --memory") from None
        try:
            db.execute("BEGIN IMMEDIATE")
            version = self._check_version(db)
            for step in range(version, len(MIGRATIONS)):
                db.execute(MIGRATIONS[step])
                db.execute(f"PRAGMA user_version={step + 1}")
            db.execute(f"PRAGMA application_id={KIND.application_id}")
            yield db
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise HistoryFailed(f"the memory {self.path} fails: {error}; name another with --memory") from None
        finally:
            db.close()  # rolls back what was not committed

    def _check_ours(self) -> None:
        try:
            self.check()
        except AskedWrongly as foreign:  # it was ours when the command began
            raise HistoryFailed(str(foreign)) from None

    def _check_version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise HistoryFailed(f"the memory {self.path} is of a newer version; name another with --memory")
        return int(version)
