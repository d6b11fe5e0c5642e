"""SQLite files: opening those that are ours, and leaving alone those that are not.

A file of ours carries an application id in its header. One from before it had, is known by its tables. Whatever else
lies where a file of ours was asked for, or beside it where SQLite or our lock would write, is never written, renamed or
removed.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from streamseg.errors import UsageError

QueryResult = TypeVar("QueryResult")

_BUSY_TIMEOUT_S = 1.0
_MAGIC = b"SQLite format 3\0"
WAL_ENDINGS: Final = ("-wal", "-shm")  # what lies beside a database in WAL mode while it is open
_MAGIC_PREFIXES: Final[dict[str, tuple[bytes, ...]]] = {  # what SQLite, and our lock, write at the start of each
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\0\0\0\0"),
    "-shm": (b"\x18\xe2\x2d\0", b"\0\x2d\xe2\x18", b"\0\0\0\0"),
    "-journal": (b"\xd9\xd5\x05\xf9", b"\0\0\0\0"),
    ".lock": (b"0", b"1"),
}
_NO_SUCH_PATH = (errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)  # the path can never be used; other faults may pass

FileContent: TypeAlias = Literal["nothing", "ours", "damaged", "foreign", "no file"]
_CONTENT_NAMES = {
    "damaged": "it is no SQLite database, or a damaged one",
    "foreign": "it is a database of another program",
    "no file": "it is a folder or a device",
}


class DatabaseKind(NamedTuple):
    """A kind of file: what people call it, its application id, its tables, and the option that names another.

    locked: whether a file NAME.lock of ours lies beside it.
    """

    noun: str
    application_id: int
    tables: frozenset[str]
    option: str
    is_locked: bool = False


def connect_database(path: Path, *, durable: bool = False) -> sqlite3.Connection:
    """A connection with our settings, to a file that is made where there is none; transactions are begun by hand."""
    return _configure_connection(
        sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False), durable=durable
    )


def connect_existing_database(path: Path) -> sqlite3.Connection:
    """A connection for reading a file that another connection writes; nothing is set in the file.

    It may have become another program's meanwhile. Raises sqlite3.OperationalError without a file.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, not even what is pending beside the file. Raises sqlite3.Error.

    Without a write-ahead log beside it the file is taken as it stands, so that a folder that cannot be written will do;
    SQLite would make the log. Another process may begin to write meanwhile: see `query`.
    """
    wal, index = (companion_path(path, ending) for ending in WAL_ENDINGS)
    try:
        in_use = wal.stat().st_size > 0 or index.exists()
    except FileNotFoundError:  # perhaps only just now
        in_use = False
    address = f"{path.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def query_database(path: Path, read: Callable[[sqlite3.Connection], QueryResult]) -> QueryResult:
    """What `read` gets of a connection that changes nothing. Raises sqlite3.Error.

    A file that is taken as it stands may be written meanwhile, when another process copies its log into it. That looks
    like damage, so damage is looked at twice; by then the log is there, and the file is read under its locks.
    """
    try:
        with contextlib.closing(connect_read_only(path)) as db:
            return read(db)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        with contextlib.closing(connect_read_only(path)) as db:
            return read(db)


def identify_file(path: Path, kind: DatabaseKind) -> FileContent:
    """What lies at a path. It is not changed.

    Raises sqlite3.OperationalError where it cannot be read now, OSError where the path cannot be looked at.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    if not stat.S_ISREG(found.st_mode):
        return "no file"
    if found.st_size == 0:
        return "nothing"
    try:
        application_id, tables = query_database(path, _id_and_tables)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return "ours" if _application_id(path) == kind.application_id else "damaged"
    if application_id == kind.application_id:
        return "ours"
    if application_id or (tables and not tables >= kind.tables):
        return "foreign"
    return "ours" if tables else "nothing"


def refuse_foreign_file(path: Path, kind: DatabaseKind, *, trusted: bool = False) -> None:
    """Raise AskedWrongly where something lies at a path, or beside it, that is not a file of this kind.

    trusted: we made the file, whatever became of its content since.
    """
    try:
        content = identify_file(path, kind)
    except sqlite3.OperationalError:
        content = "ours"  # locked, or not to be read: whoever opens it will be told
    except OSError as error:
        if error.errno not in _NO_SUCH_PATH:
            raise
        raise UsageError(f"{path} cannot be looked at: {error.strerror}; name another with {kind.option}") from None
    if content in _CONTENT_NAMES and not (content == "damaged" and trusted):
        raise UsageError(
            f"{path} is not a {kind.noun} of streamseg ({_CONTENT_NAMES[content]}) and was left as it is; "
            f"name another with {kind.option}"
        )
    refuse_foreign_companions(path, kind)


def refuse_foreign_companions(path: Path, kind: DatabaseKind) -> None:
    """Raise AskedWrongly where SQLite, or our lock, would write over a file beside the path that is not theirs."""
    for ending, starts in _MAGIC_PREFIXES.items():
        beside = companion_path(path, ending)
        start = _first_bytes(beside, 4)
        if start and start not in starts and (kind.is_locked or ending != ".lock"):
            raise UsageError(
                f"{beside} is in the way of the {kind.noun} {path} and was left as it is; "
                f"name another with {kind.option}"
            )


def companion_path(path: Path, ending: str) -> Path:
    """Where SQLite, or our lock, lays a file of this ending beside a database."""
    return path.with_name(path.name + ending)


def database_files(path: Path) -> list[Path]:
    """A database and whatever may be written beside it."""
    return [path, *(companion_path(path, ending) for ending in _MAGIC_PREFIXES)]


def is_our_lock(lock: Path) -> bool:
    """Whether the file NAME.lock is one that we wrote."""
    return _first_bytes(lock, 4) in _MAGIC_PREFIXES[".lock"]


def make_backup_path(path: Path) -> Path:
    """A new name for what cannot be used, in the same folder."""
    return path.with_name(f"{path.name}.aside-{time.time_ns()}")


def move_to_backup(path: Path) -> Path:
    """Rename a file and what lies beside it; returns the new name."""
    aside = make_backup_path(path)
    for ending in ("", *WAL_ENDINGS):
        with contextlib.suppress(FileNotFoundError):
            companion_path(path, ending).rename(companion_path(aside, ending))
    return aside


def _id_and_tables(db: sqlite3.Connection) -> tuple[int, set[str]]:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    return application_id, {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}


def _application_id(path: Path) -> int:
    """As the header has it, of a file that SQLite cannot read; 0 where there is none."""
    header = _first_bytes(path, 100)
    return int.from_bytes(header[68:72], "big") if header.startswith(_MAGIC) else 0


def _first_bytes(path: Path, length: int) -> bytes:
    """The first bytes; nothing where there is no readable regular file, as a device may never end."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return b""


def _configure_connection(connection: sqlite3.Connection, *, durable: bool) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA journal_size_limit=16777216")
    except BaseException:
        connection.close()
        raise
    return connection
