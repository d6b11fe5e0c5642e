"""The lock file beside a history: only one process can lock it, and one byte in it outlives that process.

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

_LOCKED_BYTE: Final = 1 << 30  # Windows can lock bytes beyond the end of a file
# O_BINARY exists on Windows alone, where a file is opened as text without it.
_OPEN_FLAGS: Final = os.O_RDWR | os.O_CREAT | int(getattr(os, "O_BINARY", 0))


class HistoryLockFile:
    """The open and locked file `NAME.lock` beside a history; its first byte tells whether the history is complete."""

    def __init__(self, path: Path) -> None:
        """Open the lock file at this path, or make it, and lock it.

        Raises BlockingIOError when another process holds the lock, OSError when the file cannot be made or has no
        room, HistoryError when this Python cannot lock files.
        """
        self._path = path
        self._descriptor = os.open(path, _OPEN_FLAGS, 0o666)
        try:
            _lock_descriptor(self._descriptor, path)
            if not _read_byte(self._descriptor):
                _write_byte(self._descriptor, b"1")  # from now on there is room for it
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def is_history_complete(self) -> bool:
        """Whether the lock file says that no event is missing in the epochs (runs of a stream) that have not ended."""
        return _read_byte(self._descriptor) != b"0"

    def write_completeness(self, is_complete: bool) -> None:
        """Write into the lock file whether the history is complete, and wait until it is on the disk.

        Raises OSError.
        """
        _write_byte(self._descriptor, b"1" if is_complete else b"0")
        os.fsync(self._descriptor)

    def relock_if_deleted_or_replaced(self) -> bool:
        """Lock a new lock file if the old one was deleted or replaced; return False if that fails, otherwise True.

        It fails when another process has locked a file at this path, or when none can be made.
        """
        if sys.platform == "win32":  # an open file cannot be deleted or renamed there
            return True
        lock_status = os.fstat(self._descriptor)
        try:
            path_status = self._path.stat()
        except FileNotFoundError:
            pass
        else:
            if (path_status.st_dev, path_status.st_ino) == (lock_status.st_dev, lock_status.st_ino):
                return True
        try:
            successor = HistoryLockFile(self._path)
            successor.write_completeness(self.is_history_complete)
        except OSError:
            return False
        os.close(self._descriptor)
        self._descriptor = successor._descriptor
        return True

    def close(self) -> None:
        """Unlock and close the lock file, without deleting it."""
        os.close(self._descriptor)


def _lock_descriptor(descriptor: int, path: Path) -> None:
    """Lock without waiting. Raises BlockingIOError, OSError or HistoryError."""
    if (fcntl := _import_if_present("fcntl")) is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif (msvcrt := _import_if_present("msvcrt")) is not None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:  # EACCES: on Windows, another process has locked the byte
            raise BlockingIOError(error.errno, error.strerror) from None
    else:
        raise HistoryError(
            f"the history beside {path} cannot be guarded from a second server: this Python has neither fcntl nor "
            "msvcrt; serve with --no-history"
        )


def _import_if_present(name: str) -> Any:
    """Import a module of the standard library that only some systems have; None where there is none.

    Its types differ from system to system, hence Any.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _read_byte(descriptor: int) -> bytes:
    """Read the first byte, b"" where there is none. Windows has no `pread`; one thread at a time uses a lock file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1)


def _write_byte(descriptor: int, byte: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, byte)
