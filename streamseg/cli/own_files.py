"""Whether a file given as history, memory or lessons is one of ours; a stranger's file is never opened for writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import msgspec

from streamseg.errors import AskedWrongly

StoreKind = Literal["history", "memory"]

_TABLES: Final[dict[StoreKind, set[str]]] = {"history": {"stream", "epoch", "event"}, "memory": {"remembered"}}
_SQLITE: Final = b"SQLite format 3\0"
_MAY_BEGIN: Final[dict[str, tuple[bytes, ...]]] = {  # what SQLite, and our lock, write at the start of each
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\0\0\0\0"),
    "-shm": (b"\x18\xe2\x2d\0", b"\0\x2d\xe2\x18", b"\0\0\0\0"),
    "-journal": (b"\xd9\xd5\x05\xf9", b"\0\0\0\0"),
    ".lock": (b"0", b"1"),
}
_SAME_IN_USE: Final = 9  # a history in use by another server is followed by `name-2` … (server/history.py)


def database_files(path: Path) -> list[Path]:
    """A database and what is written beside it."""
    return [path, *(path.with_name(path.name + ending) for ending in _MAY_BEGIN)]


def check_database(path: Path, kind: StoreKind) -> None:
    """Look at an existing file without changing it.

    Raises AskedWrongly when it is no database, one of another program, or what lies beside it is not its own.
    A damaged file of ours passes: whoever opens it says so, or sets it aside.
    """
    if not path.name:
        raise AskedWrongly(f"--{kind} is given no file's name")
    names = [path]
    if kind == "history":
        names += [path.with_stem(f"{path.stem}-{n}") for n in range(2, _SAME_IN_USE + 1)]
    for name in names:
        try:
            other = name.exists() and not name.is_file()
        except OSError as error:
            raise AskedWrongly(f"{name} cannot be looked at: {error.strerror}; name another with --{kind}") from None
        if other:
            raise AskedWrongly(f"{name} is a folder or a device; name a file for the {kind}")
        if _begins_with(name, 16) not in (b"", _SQLITE) or not _tables(name) <= _allowed(name, kind):
            raise AskedWrongly(f"{name} is not a {kind} of streamseg and is left as it is; name another with --{kind}")
        for ending in _MAY_BEGIN if kind == "history" else ("-wal", "-shm", "-journal"):
            beside = name.with_name(name.name + ending)
            start = _begins_with(beside, 4)
            if start and start not in _MAY_BEGIN[ending]:
                raise AskedWrongly(
                    f"{beside} is in the way of the {kind} {name} and is left as it is; name another with --{kind}"
                )


def _allowed(path: Path, kind: StoreKind) -> set[str]:
    """The tables that are there, if ours are among them; none otherwise."""
    tables = _tables(path)
    return tables if tables & _TABLES[kind] else set()


def _tables(path: Path) -> set[str]:
    """Names of a database's tables; none where it cannot be read as one."""
    if _begins_with(path, 16) != _SQLITE:
        return set()
    beside = path.with_name(path.name + "-wal").exists()  # then only SQLite itself reads it rightly
    name = quote(path.absolute().as_posix().lstrip("/"))  # a name that begins with // is no host
    address = f"file:///{name}?mode=ro{'' if beside else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            return {name for (name,) in rows}
    except sqlite3.Error:
        return set()


def _begins_with(path: Path, length: int) -> bytes:
    """The first bytes; nothing where there is no readable regular file."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return b""


def is_lessons(content: bytes, profiles: tuple[str, ...]) -> bool:
    """Whether a file holds lessons, or did before it was damaged: it begins with a profile and its marks."""
    try:
        known = msgspec.json.decode(content, type=dict[str, list[msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        start = bytes(content[:40]).replace(b" ", b"")
        return any(start.startswith(f'{{"{profile}":['.encode()) for profile in profiles)
    return known.keys() <= set(profiles)
