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

from streamseg.engine.named_sounds import NamedSound, NamedSoundKind, NamedSounds
from streamseg.errors import HistoryError, UsageError
from streamseg.history import sqlite_file
from streamseg.history.sqlite_file import connect_database
from streamseg.wire.label_names import check_name
from streamseg.wire.printable import make_printable

KIND = sqlite_file.DatabaseKind("memory", 0x5353454D, frozenset({"remembered"}), "--memory")
MAX_ENTRIES = 1000  # entries; beyond, the one taught longest ago is forgotten
_MAX_ENTRY_BYTES = 2**20

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


class NameEntry(NamedSound, frozen=True, kw_only=True):
    """A remembered sound with its number in the file, and where and when (Unix seconds) it was taught."""

    id: int
    stream: str
    created_at: float


class NameStore:
    """The file. Every method opens it, does one thing and closes it; all raise HistoryFailed when that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Raise AskedWrongly where something lies at the path that is no memory of ours. Nothing is changed."""
        sqlite_file.refuse_foreign_file(self.path, KIND)

    def load_named_sounds(self) -> NamedSounds:
        """Everything remembered, as the engine takes it. Nothing when there is no file yet."""
        return NamedSounds(
            tuple(NamedSound(name=entry.name, kind=entry.kind, content=entry.content) for entry in self.list_entries())
        )

    def list_entries(self) -> list[NameEntry]:
        """Everything remembered, the longest known first."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return []
        self._check_ours()
        try:  # writing nothing, so that a file or folder that may only be read will do
            return sqlite_file.query_database(self.path, self._entries)
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"cannot read the memory {self.path}: {error}; name another with --memory") from None

    def add_entry(self, entry: NamedSound, stream: str = "") -> int:
        """Remember a sound; stream: where it was heard. Returns its number.

        The same name may be given to several sounds: all of them are recognised. Raises AskedWrongly for a sound
        of more than 1 MiB, and for a name that `streamseg.wire.label_names` refuses.
        """
        name = check_name(entry.name)
        if len(entry.content) > _MAX_ENTRY_BYTES:
            raise UsageError(
                f"{entry.name!r} takes {len(entry.content)} bytes; at most {_MAX_ENTRY_BYTES} are remembered"
            )
        with self._transaction() as db:
            id_ = db.execute(
                "INSERT INTO remembered (kind, name, stream, content, taught_at) VALUES (?, ?, ?, ?, ?)",
                (entry.kind, name, stream, entry.content, time.time()),
            ).lastrowid
            db.execute(
                "DELETE FROM remembered WHERE id NOT IN (SELECT id FROM remembered ORDER BY id DESC LIMIT ?)",
                (MAX_ENTRIES,),
            )
        assert id_ is not None  # noqa: S101  an INSERT has one
        return id_

    def rename_entries(self, old: str, new: str, kind: NamedSoundKind = "section") -> int:
        """Call every sound of one name by another; returns how many there were. Raises AskedWrongly as `add` does."""
        new = check_name(new)
        with self._transaction() as db:
            return db.execute("UPDATE remembered SET name=? WHERE name=? AND kind=?", (new, old, kind)).rowcount

    def delete_entries(self, name: str) -> int:
        """Forget every sound of that name, of whatever kind; returns how many there were.

        The name counts as it is kept and as it is shown: an older file may hold names that cannot be typed.
        """
        if not self.path.exists():
            return 0
        asked = {name, unicodedata.normalize("NFC", name).strip()}
        with self._transaction() as db:
            kept = [kept for (kept,) in db.execute("SELECT DISTINCT name FROM remembered")]
            gone = [(kept,) for kept in kept if not asked.isdisjoint((kept, make_printable(kept)))]
            return sum(db.execute("DELETE FROM remembered WHERE name=?", each).rowcount for each in gone)

    def replace_entry(self, id_: int, entry: NamedSound) -> None:
        """Another name or content under the same number; nothing where it was forgotten meanwhile.

        Raises AskedWrongly as `add` does.
        """
        name = check_name(entry.name)
        with self._transaction() as db:
            db.execute(
                "UPDATE remembered SET kind=?, name=?, content=?, taught_at=? WHERE id=?",
                (entry.kind, name, entry.content, time.time(), id_),
            )

    def _entries(self, db: sqlite3.Connection) -> list[NameEntry]:
        self._check_version(db)
        rows = db.execute("SELECT id, kind, name, stream, content, taught_at FROM remembered ORDER BY id")
        return [
            NameEntry(id=id_, kind=kind, name=name, stream=stream, content=content, created_at=at)
            for id_, kind, name, stream, content, at in rows
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._check_ours()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = connect_database(self.path)
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"cannot open the memory {self.path}: {error}; name another with --memory") from None
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
            raise HistoryError(f"the memory {self.path} fails: {error}; name another with --memory") from None
        finally:
            db.close()  # rolls back what was not committed

    def _check_ours(self) -> None:
        try:
            self.check()
        except UsageError as foreign:  # it was ours when the command began
            raise HistoryError(str(foreign)) from None

    def _check_version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise HistoryError(f"the memory {self.path} is of a newer version; name another with --memory")
        return int(version)
