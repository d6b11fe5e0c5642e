"""SQLite files: opening those that are ours, and leaving alone those that are not.

A file of ours carries an application id in its header. One from before it had, is known by its tables. Whatever else
lies where a file of ours was asked for is never written, renamed or removed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from streamseg.errors import AskedWrongly

_BUSY_S = 1.0
_MAGIC = b"SQLite format 3\0"
_PARTS = ("", "-wal", "-shm")

Content: TypeAlias = Literal["nothing", "ours", "damaged", "foreign", "no file"]
_FOUND = {
    "damaged": "it is no SQLite database, or a damaged one",
    "foreign": "it is a database of another program",
    "no file": "it is a folder or a device",
}


class Kind(NamedTuple):
    """A kind of file: what people call it, its application id, its tables, and the option that names another."""

    noun: str
    application_id: int
    tables: frozenset[str]
    option: str


def connect(path: Path, *, durable: bool = False) -> sqlite3.Connection:
    """A connection with our settings, to a file that is made where there is none; transactions are begun by hand."""
    return _configure(
        sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False), durable=durable
    )


def connect_to_existing(path: Path) -> sqlite3.Connection:
    """A connection for reading a file that another connection writes; nothing is set in the file.

    It may have become another program's meanwhile. Raises sqlite3.OperationalError without a file.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, not even what is pending beside the file. Raises sqlite3.Error.

    Without a write-ahead log beside it the file is taken as it stands, so that a folder that cannot be written will do.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        pending = wal.stat().st_size > 0
    except FileNotFoundError:  # perhaps only just now
        pending = False
    address = f"{path.absolute().as_uri()}?{'mode=ro' if pending else 'immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)


def look_into(path: Path, kind: Kind) -> Content:
    """What lies at a path. It is not changed. Raises sqlite3.OperationalError where it cannot be read now."""
    if not path.exists():
        return "nothing"
    if not path.is_file():
        return "no file"
    if path.stat().st_size == 0:
        return "nothing"
    try:
        with contextlib.closing(connect_to_read(path)) as db:
            (application_id,) = db.execute("PRAGMA application_id").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return "ours" if _application_id(path) == kind.application_id else "damaged"
    if application_id == kind.application_id:
        return "ours"
    if application_id or (tables and not tables >= kind.tables):
        return "foreign"
    return "ours" if tables else "nothing"


def refuse_foreign(path: Path, kind: Kind, *, trusted: bool = False) -> None:
    """Raise AskedWrongly where something lies at a path that is not a file of this kind.

    trusted: we made the file, whatever became of its content since.
    """
    try:
        content = look_into(path, kind)
    except sqlite3.OperationalError:
        return  # locked, or not to be read: whoever opens it will be told
    if content in _FOUND and not (content == "damaged" and trusted):
        raise AskedWrongly(
            f"{path} is not a {kind.noun} of streamseg ({_FOUND[content]}) and was left as it is; "
            f"name another with {kind.option}"
        )


def name_aside(path: Path) -> Path:
    """A new name for what cannot be used, in the same folder."""
    return path.with_name(f"{path.name}.aside-{time.time_ns()}")


def set_aside(path: Path) -> Path:
    """Rename a file and what lies beside it; returns the new name."""
    aside = name_aside(path)
    for ending in _PARTS:
        part = path.with_name(path.name + ending)
        with contextlib.suppress(FileNotFoundError):
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _application_id(path: Path) -> int:
    """As the header has it, of a file that SQLite cannot read; 0 where there is none."""
    with path.open("rb") as file:
        header = file.read(100)
    return int.from_bytes(header[68:72], "big") if header.startswith(_MAGIC) else 0


def _configure(connection: sqlite3.Connection, *, durable: bool) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA journal_size_limit=16777216")
    except BaseException:
        connection.close()
        raise
    return connection
