"""The name store: named sounds that are recognised in later runs, in one SQLite file (`memory.sqlite`).

It is separate from the event history, which one server writes: names are written by every running server and by the
commands. Each change is one short transaction, so several processes may use the file at the same time.
"""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.errors import HistoryError, UsageError
from streamseg.history import sqlite_file
from streamseg.history.migrations import NewerVersionError, migrate_database, read_schema_version, write_transaction
from streamseg.history.sqlite_file import connect_database
from streamseg.wire.label_names import check_and_normalise_name
from streamseg.wire.printable import make_printable

KIND = sqlite_file.DatabaseKind("memory", 0x5353454D, frozenset({"remembered"}), "--memory")
MAX_ENTRIES = 1000  # when it is exceeded, the oldest entry is deleted
_MAX_ENTRY_BYTES = 2**20

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


class StoredNamedSound(NamedSound, frozen=True, kw_only=True):
    """A named sound as it was read from the store, with its id, the stream it came from, and the time of storing.

    id: its number in the store. stream: the stream that it came from; empty for a sound from a recording. created_at:
    when it was stored or last replaced, Unix seconds.
    """

    id: int
    stream: str
    created_at: float


class NameStore:
    """Reads and writes the SQLite file of named sounds (sections and jingles), which later streams recognise by name.

    Every method opens the file, does one thing and closes the file; it raises HistoryError when that fails.
    """

    def __init__(self, path: Path) -> None:
        """path: the file; it is created when the first entry is added."""
        self.path = path

    def refuse_foreign_file(self) -> None:
        """Raise UsageError if the file exists and is not a name store; change nothing."""
        sqlite_file.refuse_foreign_file(self.path, KIND)

    def load_named_sounds(self) -> NamedSounds:
        """Return all named sounds, to pass to a `Segmenter`; empty when there is no file yet."""
        return NamedSounds(
            tuple(NamedSound(name=entry.name, kind=entry.kind, content=entry.content) for entry in self.list_entries())
        )

    def list_entries(self) -> list[StoredNamedSound]:
        """Return all stored sounds, the oldest first; empty when there is no file yet."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return []
        self._check_ours()
        try:  # without writing, so that permission to read the file and its folder is enough
            return sqlite_file.query_database(self.path, self._read_entries)
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(f"cannot read the memory {self.path}: {error}; name another with --memory") from None

    def add_entry(self, entry: NamedSound, stream: str = "") -> int:
        """Store a named sound and return its id. stream: the stream that the sound came from; empty for none.

        Several sounds may have the same name; the engine recognises all of them. Above 1,000 entries the oldest is
        deleted. Raises UsageError for a sound of more than 1 MiB and for a name that is not allowed.
        """
        name = check_and_normalise_name(entry.name)
        if len(entry.content) > _MAX_ENTRY_BYTES:
            raise UsageError(
                f"the sound {entry.name!r} takes {len(entry.content)} bytes; at most {_MAX_ENTRY_BYTES} are stored"
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

    def rename_section_entries(self, old_name: str, new_name: str) -> int:
        """Rename the stored sections (not jingles) called `old_name` to `new_name`; return the number renamed.

        Raises UsageError when the new name is not allowed.
        """
        new_name = check_and_normalise_name(new_name)
        with self._transaction() as db:
            return db.execute(
                "UPDATE remembered SET name=? WHERE name=? AND kind='section'", (new_name, old_name)
            ).rowcount

    def delete_entries(self, name: str) -> int:
        """Delete every sound of this name, section or jingle; return the number of deleted sounds.

        The name may be written as it is stored or as it is printed, because an older file may contain names that cannot
        be typed.
        """
        if not self.path.exists():
            return 0
        spellings = {name, unicodedata.normalize("NFC", name).strip()}
        with self._transaction() as db:
            names = [stored_name for (stored_name,) in db.execute("SELECT DISTINCT name FROM remembered")]
            matches = [(each,) for each in names if not spellings.isdisjoint((each, make_printable(each)))]
            return sum(db.execute("DELETE FROM remembered WHERE name=?", match).rowcount for match in matches)

    def replace_entry(self, id_: int, entry: NamedSound) -> None:
        """Replace name, kind and content of the stored sound with this id; do nothing if there is none.

        Raises UsageError when the name is not allowed.
        """
        name = check_and_normalise_name(entry.name)
        with self._transaction() as db:
            db.execute(
                "UPDATE remembered SET kind=?, name=?, content=?, taught_at=? WHERE id=?",
                (entry.kind, name, entry.content, time.time(), id_),
            )

    def _read_entries(self, db: sqlite3.Connection) -> list[StoredNamedSound]:
        try:
            read_schema_version(db, MIGRATIONS)
        except NewerVersionError as error:
            raise self._newer_version_error(error) from None
        rows = db.execute("SELECT id, kind, name, stream, content, taught_at FROM remembered ORDER BY id")
        return [
            StoredNamedSound(id=id_, kind=kind, name=name, stream=stream, content=content, created_at=at)
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
            with write_transaction(db):
                migrate_database(db, MIGRATIONS)
                db.execute(f"PRAGMA application_id={KIND.application_id}")
                yield db
        except NewerVersionError as error:
            raise self._newer_version_error(error) from None
        except sqlite3.Error as error:
            raise HistoryError(f"cannot write the memory {self.path}: {error}; name another with --memory") from None
        finally:
            db.close()

    def _check_ours(self) -> None:
        try:
            self.refuse_foreign_file()
        except UsageError as error:  # the file was replaced while the command ran
            raise HistoryError(str(error)) from None

    def _newer_version_error(self, error: NewerVersionError) -> HistoryError:
        return HistoryError(
            f"the memory {self.path} was written by a newer version of streamseg ({error}); name another with --memory"
        )
