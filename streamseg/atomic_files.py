"""Writes result files so that a file appears only when it is complete and no existing file is lost.

`write_atomically` writes a temporary file and renames it; `write_growing_file` writes a new file piece by piece, so
that it can be read while it grows; `create_numbered_file` creates a file with a name that is free. Descriptors, pipes
and devices are written directly, since they cannot be replaced. `cli/input_files.py` checks that no command writes to a
file that it reads.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from streamseg.errors import OutputError, UsageError

_DESCRIPTORS: Final = re.compile(r"/(proc/(self|thread-self|\d+)(/task/\d+)?/fd|dev/fd)")
_MAX_LINKS: Final = 40
_MAX_NUMBER: Final = 10_000
_unfinished_files: set[Path] = set()  # temporary files that are being written


def would_replace_file(path: Path) -> bool:
    """Return whether writing to `path` would replace an existing regular file.

    A pipe, a device or an open descriptor (`/dev/stdout`) is written directly, so for these the answer is False.
    """
    return not _is_descriptor(path) and os.path.isfile(path)  # noqa: PTH113 — is_file() raises where nothing may be read


def check_file_can_be_written(path: Path, *, replace: bool) -> None:
    """Check that a file can be written to `path`, without creating it; raise UsageError or OutputError if it cannot.

    replace: an existing file is allowed. UsageError: it is a folder, or an existing file without `replace`.
    OutputError: the folder that contains `path` is missing or not writable. Call it before other work begins.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise make_write_error(path, error) from None
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder; name a file in it")
    if mode is not None and (stat.S_ISBLK(mode) or stat.S_ISSOCK(mode)):
        raise UsageError(f"{path} is not a file that results can be written to; name another file")
    if mode is not None and (not stat.S_ISREG(mode) or _is_descriptor(path)):
        return
    if mode is not None and not replace:
        raise UsageError(f"{path} exists and is not replaced; name another file")
    folder = _resolve_target(path).parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {str(folder)!r}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: this user may not make files in {str(folder)!r}")


def check_folder_can_be_written(folder: Path) -> None:
    """Raise OutputError if no file can be written into `folder`. A missing folder is allowed if it can be created.

    Creates nothing.
    """
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.path.isdir(nearest):  # noqa: PTH112 — is_dir() raises where nothing may be read
        raise OutputError(f"cannot make the folder {folder}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to the folder {folder}: this user may not make files in {str(nearest)!r}")


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents if they do not exist. Raises OutputError when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from None


@contextmanager
def write_atomically(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """Yield a binary file to write to; the file appears at `path` when the `with` block ends, not if the block raises.

    replace: an existing file is replaced when the block ends. Raises UsageError for an existing file unless `replace`,
    OutputError when the file cannot be written or the block raises OSError.
    """
    with write_via_temporary_file(path, replace=replace) as temporary, convert_write_errors(path):
        if temporary is None:
            # A descriptor that is redirected to a file keeps its position there.
            with path.open("ab" if _is_descriptor(path) else "wb") as file:
                yield file
            return
        with temporary.open("r+b") as file:
            yield file
            file.flush()


@contextmanager
def write_via_temporary_file(path: Path, *, replace: bool) -> Iterator[Path | None]:
    """Yield the path of a temporary file, which is renamed to `path` when the `with` block ends; None for a device.

    The temporary file is empty; if the block raises, it is removed. None: `path` is a pipe, a device or a descriptor,
    and the caller writes to `path` directly. replace: an existing file is replaced. Raises as `write_atomically`.
    """
    check_file_can_be_written(path, replace=replace)
    if not would_replace_file(path) and (path.exists() or _is_descriptor(path)):
        yield None
        return
    target = _resolve_target(path)
    with convert_write_errors(path):
        temporary = _create_temporary(target)
        try:
            yield temporary
            if replace:
                with suppress(OSError):
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                temporary.replace(target)
            else:
                _rename_to_new(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            _unfinished_files.discard(temporary)


@contextmanager
def write_growing_file(path: Path, *, replace: bool) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that appends bytes to a new file at `path`, which other programs can read while it grows.

    The function writes the whole piece or nothing. If the `with` block raises, the pieces of a new file stay. With
    `replace`, an existing file is replaced when the block ends, as `write_atomically` does, and stays as it was if the
    block raises. Raises as that function.
    """
    check_file_can_be_written(path, replace=replace)
    if path.exists() or _is_descriptor(path):
        with write_atomically(path, replace=replace) as file:
            yield lambda piece: _write_and_flush(file, piece)
        return
    target = _resolve_target(path)
    with convert_write_errors(path):
        file = _create_new(target)
        try:
            yield lambda piece: append_all_or_nothing(file, piece)
        finally:
            empty = file.tell() == 0
            file.close()
            if empty:  # removed after it is closed: Windows does not remove open files
                target.unlink(missing_ok=True)


def append_all_or_nothing(file: io.FileIO, piece: bytes) -> None:
    """Append `piece` to an unbuffered file; if that fails, leave the file as before and raise OSError."""
    before = file.tell()
    view = memoryview(piece)
    try:
        while view:
            view = view[file.write(view) or 0 :]
    except OSError:
        with suppress(OSError):
            file.truncate(before)
            file.seek(before)
        raise


def create_numbered_file(path: Path, is_reserved: Callable[[Path], bool] = lambda _: False) -> tuple[Path, io.FileIO]:
    """Create a new file at `path`, or at `name-2`, `name-3` … if that exists; returns its path and the unbuffered file.

    is_reserved: called with each candidate path; returns True for a path that must not be used although no file is
    there. Raises OSError.
    """
    for number in range(1, _MAX_NUMBER):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if os.path.lexists(candidate) or is_reserved(candidate):
            continue
        with suppress(FileExistsError):
            return candidate, _create_new(candidate)
    raise FileExistsError(errno.EEXIST, f"{_MAX_NUMBER} numbered files exist", str(path))


def remove_temporary_files() -> None:
    """Delete the temporary files of results that are still being written. Call it just before `os._exit`."""
    for temporary in tuple(_unfinished_files):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def convert_write_errors(path: Path | str) -> Iterator[None]:
    """If the `with` block raises OSError, raise OutputError instead. path: the file being written, for the message."""
    try:
        yield
    except OSError as error:
        raise make_write_error(path, error) from None


def make_write_error(path: Path | str, error: Exception) -> OutputError:
    """Return the OutputError to raise for `error`, which occurred while writing to `path`."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return OutputError(f"cannot write {path}: {reason}")


def _resolve_target(path: Path) -> Path:
    """The file that a link points to: the file is replaced, the link is kept."""
    return Path(os.path.realpath(path))


def _is_descriptor(path: Path) -> bool:
    """Whether the path is an open descriptor, such as /dev/stdout, and not a file name."""
    location = Path(os.path.abspath(path))  # noqa: PTH100 — resolve() would follow the last link
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(location.parent)
        if _DESCRIPTORS.fullmatch(folder):
            return True
        location = Path(folder) / location.name
        try:
            location = Path(folder) / location.readlink()
        except OSError:
            return False
    return False


def _create_new(path: Path) -> io.FileIO:
    """Create a new, unbuffered file. Raises FileExistsError."""
    return io.FileIO(path, "xb")


def _create_temporary(target: Path) -> Path:
    temporary = target.with_name(f".streamseg-{secrets.token_hex(6)}.part")
    _unfinished_files.add(temporary)
    try:
        _create_new(temporary).close()
    except OSError:
        _unfinished_files.discard(temporary)
        raise
    return temporary


def _rename_to_new(temporary: Path, target: Path) -> None:
    """Rename the file. Raises UsageError when another program has created the target meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _make_conflict_error(target) from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise _make_conflict_error(target) from None
        temporary.replace(target)


def _make_conflict_error(target: Path) -> UsageError:
    return UsageError(f"another program made {target} meanwhile; it is not replaced")


def _write_and_flush(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)
    file.flush()
