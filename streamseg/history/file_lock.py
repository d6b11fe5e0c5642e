"""The lock file beside a history: one process holds it, and one byte in it outlives that process.

POSIX systems lock the whole file with `flock`. Windows locks one byte far beyond the content with `msvcrt.locking`, as
SQLite does: a locked byte cannot be read by another process there, and the content must stay readable. Both locks end
with the process, however it ends. A file made with O_EXCL that holds a process number would not: after a power cut that
number may be another program's. So where Python has neither module, no history is kept, and the message says so.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

from streamseg.errors import HistoryError

_LOCKED_BYTE: Final = 1 << 30  # Windows locks bytes that do not exist as well
# O_BINARY exists on Windows alone, where a file is opened as text without it.
_OPEN_FLAGS: Final = os.O_RDWR | os.O_CREAT | int(getattr(os, "O_BINARY", 0))


class HistoryLock:
    """An open and locked file. Its first byte says whether the log it belongs to is whole."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, and lock it.

        Raises BlockingIOError when another process holds it, OSError when it cannot be made or has no room,
        HistoryFailed when this Python cannot lock files.
        """
        self._path = path
        self._file = os.open(path, _OPEN_FLAGS, 0o666)
        try:
            _lock_descriptor(self._file, path)
            if not _read_byte(self._file):
                _write_byte(self._file, b"1")  # from now on there is room for it
        except BaseException:
            os.close(self._file)
            raise

    @property
    def is_complete(self) -> bool:
        """Whether everything said in the epochs that are open in the log was kept."""
        return _read_byte(self._file) != b"0"

    @is_complete.setter
    def is_complete(self, complete: bool) -> None:
        _write_byte(self._file, b"1" if complete else b"0")
        os.fsync(self._file)

    def replace(self) -> bool:
        """Where the file was deleted, make and lock it again; false when another process was faster, or it fails."""
        if sys.platform == "win32":  # nobody can delete or rename an open file there
            return True
        ours = os.fstat(self._file)
        try:
            found = self._path.stat()
        except FileNotFoundError:
            pass
        else:
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                return True
        try:
            again = HistoryLock(self._path)
            again.is_complete = self.is_complete
        except OSError:
            return False
        os.close(self._file)
        self._file = again._file
        return True

    def close(self) -> None:
        """Unlock and close the file. It stays where it is."""
        os.close(self._file)


def _lock_descriptor(descriptor: int, path: Path) -> None:
    """Lock without waiting. Raises BlockingIOError, OSError or HistoryFailed."""
    if (fcntl := _find_module("fcntl")) is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif (msvcrt := _find_module("msvcrt")) is not None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:  # EACCES is how Windows says that the byte is locked
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        raise HistoryError(
            f"the history beside {path} cannot be guarded from a second server: this Python has neither fcntl nor "
            "msvcrt; serve with --no-history"
        )


def _find_module(name: str) -> Any:
    """A module of the standard library that only some systems have, or None. Its types differ by system: hence Any."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _read_byte(descriptor: int) -> bytes:
    """The first byte, b"" where there is none. Windows has no `pread`; a lock file is used by one thread at a time."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1)


def _write_byte(descriptor: int, byte: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, byte)
