"""Opens SQLite files of streamseg, and refuses those of other programs.

A file of ours has an application id in its header; an old one without it is recognised by its tables. Anything else at
the path of such a file, or beside it where SQLite or our lock would write, is never written, renamed or removed.
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
WAL_ENDINGS: Final = ("-wal", "-shm")  # files beside a database in WAL mode while it is open
_MAGIC_PREFIXES: Final[dict[str, tuple[bytes, ...]]] = {  # what SQLite and our lock write at the start of each
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\0\0\0\0"),
    "-shm": (b"\x18\xe2\x2d\0", b"\0\x2d\xe2\x18", b"\0\0\0\0"),
    "-journal": (b"\xd9\xd5\x05\xf9", b"\0\0\0\0"),
    ".lock": (b"0", b"1"),
}
_NO_SUCH_PATH = (
    errno.EACCES,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)  # final; other faults may be temporary

FileContent: TypeAlias = Literal["nothing", "ours", "damaged", "foreign", "no file"]
_CONTENT_NAMES = {
    "damaged": "it is no SQLite database, or a damaged one",
    "foreign": "it is a database of another program",
    "no file": "it is a folder or a device",
}


class DatabaseKind(NamedTuple):
    """A kind of SQLite file that streamseg writes, such as the history: how it is recognised and named in messages.

    noun: its name in messages. application_id: SQLite's mark in the file's header. tables: those that it has at least.
    option: the command-line option that names another path. is_locked: whether a file NAME.lock of ours lies
    beside it.
    """

    noun: str
    application_id: int
    tables: frozenset[str]
    option: str
    is_locked: bool = False


def connect_database(path: Path, *, durable: bool = False) -> sqlite3.Connection:
    """Open or make a database for writing, in WAL and autocommit mode. durable: commits survive a power cut."""
    return _configure_connection(
        sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False), durable=durable
    )


def connect_beside_writer(path: Path) -> sqlite3.Connection:
    """Open an existing database to read it while another connection writes it; change no setting of the file.

    The file may be another program's by now. Raises sqlite3.OperationalError where there is none.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a database so that neither the file nor its write-ahead log is changed. Raises sqlite3.Error.

    Without a log beside it the file is opened as immutable, so that its folder may be read-only; SQLite would make the
    log otherwise. Another process may begin to write during the reading: see `query_database`.
    """
    wal, index = (companion_path(path, ending) for ending in WAL_ENDINGS)
    try:
        in_use = wal.stat().st_size > 0 or index.exists()
    except FileNotFoundError:  # it may have been deleted just now
        in_use = False
    address = f"{path.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def query_database(path: Path, read: Callable[[sqlite3.Connection], QueryResult]) -> QueryResult:
    """Open a database read-only, call `read` with the connection, close it, and return the result of `read`.

    A file that is opened as immutable may be written at the same time, when another process copies its log into it.
    That looks like damage, so a damaged file is read twice: by then the log exists, and SQLite's locks are used.

    Raises sqlite3.Error.
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
    """Return what is at a path: "ours" (a file of this kind), "foreign", "damaged", "nothing" or "no file".

    foreign: a database of another program. nothing: also an empty file. no file: a folder or a device.

    Raises sqlite3.OperationalError where it cannot be read now, OSError where the path cannot be accessed.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    if not stat.S_ISREG(status.st_mode):
        return "no file"
    if status.st_size == 0:
        return "nothing"
    try:
        application_id, tables = query_database(path, _read_id_and_tables)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return "ours" if _read_application_id(path) == kind.application_id else "damaged"
    if application_id == kind.application_id:
        return "ours"
    if application_id or (tables and not tables >= kind.tables):
        return "foreign"
    return "ours" if tables else "nothing"


def refuse_foreign_file(path: Path, kind: DatabaseKind, *, allow_damaged: bool = False) -> None:
    """Raise UsageError if `path` is not free for a file of this kind: another program's file is there or beside it.

    allow_damaged: accept a damaged file, because streamseg made it. For the files beside the path see
    `refuse_foreign_companions`.
    """
    try:
        content = identify_file(path, kind)
    except sqlite3.OperationalError:
        content = "ours"  # locked or unreadable: opening it gives the error
    except OSError as error:
        if error.errno not in _NO_SUCH_PATH:
            raise
        raise UsageError(f"{path} cannot be looked at: {error.strerror}; name another with {kind.option}") from None
    if content in _CONTENT_NAMES and not (content == "damaged" and allow_damaged):
        raise UsageError(
            f"{path} is not a {kind.noun} of streamseg ({_CONTENT_NAMES[content]}) and was left as it is; "
            f"name another with {kind.option}"
        )
    refuse_foreign_companions(path, kind)


def refuse_foreign_companions(path: Path, kind: DatabaseKind) -> None:
    """Raise UsageError if another program's file has a name that SQLite or our lock would use beside `path`."""
    for ending, prefixes in _MAGIC_PREFIXES.items():
        companion = companion_path(path, ending)
        start = _read_first_bytes(companion, 4)
        if start and start not in prefixes and (kind.is_locked or ending != ".lock"):
            raise UsageError(
                f"{companion} is in the way of the {kind.noun} {path} and was left as it is; "
                f"name another with {kind.option}"
            )


def companion_path(path: Path, ending: str) -> Path:
    """Return the path of a file beside a database: the path of the database with `-wal`, `.lock` … appended."""
    return path.with_name(path.name + ending)


def list_database_paths(path: Path) -> list[Path]:
    """Return the paths of a database and of all files that may lie beside it: log, index, journal, lock."""
    return [path, *(companion_path(path, ending) for ending in _MAGIC_PREFIXES)]


def is_streamseg_lock_file(lock: Path) -> bool:
    """Return whether streamseg wrote this lock file. lock: path `NAME.lock`."""
    return _read_first_bytes(lock, 4) in _MAGIC_PREFIXES[".lock"]


def make_backup_path(path: Path) -> Path:
    """Return a new path, with the time in its name, to which the unusable file at `path` can be renamed."""
    return path.with_name(f"{path.name}.aside-{time.time_ns()}")


def move_to_backup(path: Path) -> Path:
    """Rename a database that cannot be used, and its write-ahead log, to a new path beside it; return that path."""
    backup = make_backup_path(path)
    for ending in ("", *WAL_ENDINGS):
        with contextlib.suppress(FileNotFoundError):
            companion_path(path, ending).rename(companion_path(backup, ending))
    return backup


def _read_id_and_tables(db: sqlite3.Connection) -> tuple[int, set[str]]:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    return application_id, {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}


def _read_application_id(path: Path) -> int:
    """Read the id from the header of a file that SQLite cannot read; 0 where there is none."""
    header = _read_first_bytes(path, 100)
    return int.from_bytes(header[68:72], "big") if header.startswith(_MAGIC) else 0


def _read_first_bytes(path: Path, length: int) -> bytes:
    """Read the first bytes of a regular file; b"" where it is none or cannot be read. A device may never end."""
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
