"""Every path that the program writes goes through here: results appear whole, and no existing file is lost.

`write_whole` writes beside the destination and renames; `write_growing` appends to a new file, so that the result can
be read while it grows; `create_numbered` finds a name that nobody has. A descriptor, a pipe or a device is written
to straight, since it cannot be replaced. `cli/input_files.py` keeps a command from writing what it reads.
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


def is_replaced(path: Path) -> bool:
    """Whether writing there replaces an existing file; a pipe, a device or a descriptor is none."""
    return not _is_descriptor(path) and os.path.isfile(path)  # noqa: PTH113 — is_file() raises where nothing may be read


def check_destination(path: Path, *, replace: bool) -> None:
    """Look whether a result could be written there, before the work for it begins.

    Raises AskedWrongly for a folder, or an existing file that must not be replaced; OutputFailed for a folder that
    is missing or not writable.
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
        raise UsageError(f"{path} is not a file that results could be written to; name another")
    if mode is not None and (not stat.S_ISREG(mode) or _is_descriptor(path)):
        return
    if mode is not None and not replace:
        raise UsageError(f"{path} exists and is left as it is; name another file")
    folder = _resolve_target(path).parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {str(folder)!r}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: this user may not make files in {str(folder)!r}")


def check_folder(folder: Path) -> None:
    """Raise OutputFailed unless the folder is there and writable, or can be made."""
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.path.isdir(nearest):  # noqa: PTH112 — is_dir() raises where nothing may be read
        raise OutputError(f"cannot make the folder {folder}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to the folder {folder}: this user may not make files in {str(nearest)!r}")


def make_folder(folder: Path) -> None:
    """Make it and those above it, where they are missing. Raises OutputFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from None


@contextmanager
def write_atomically(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """A binary file that appears at `path` whole when the block ends, or not at all when it fails.

    replace: an existing file gives way at that moment; otherwise it is left alone. Raises AskedWrongly for an
    existing file, OutputFailed when it cannot be written; OSError within the block is taken for the latter.
    """
    with replace_atomically(path, replace=replace) as beside, output_errors(path):
        if beside is None:
            # Whoever redirected a descriptor to a file chose where to begin.
            with path.open("ab" if _is_descriptor(path) else "wb") as file:
                yield file
            return
        with beside.open("r+b") as file:
            yield file
            file.flush()


@contextmanager
def replace_atomically(path: Path, *, replace: bool) -> Iterator[Path | None]:
    """An empty temporary file in the folder of `path`, renamed to it when the block ends, removed when it fails.

    Yields None where `path` must be written straight (a pipe, a device, a descriptor). Raises as `write_whole`.
    """
    check_destination(path, replace=replace)
    if not is_replaced(path) and (path.exists() or _is_descriptor(path)):
        yield None
        return
    target = _resolve_target(path)
    with output_errors(path):
        beside = _create_beside(target)
        try:
            yield beside
            if replace:
                with suppress(OSError):
                    beside.chmod(stat.S_IMODE(target.stat().st_mode))
                beside.replace(target)
            else:
                _rename_to_new(beside, target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            _unfinished_files.discard(beside)


@contextmanager
def append_lines(path: Path, *, replace: bool) -> Iterator[Callable[[bytes], None]]:
    """A function that writes pieces, each whole or not at all; a new file grows where it is, for who reads along.

    An existing file, where `replace` allows it, is replaced when the block ends. What was written stays when the
    block fails. Raises as `write_whole`.
    """
    check_destination(path, replace=replace)
    if path.exists() or _is_descriptor(path):
        with write_atomically(path, replace=replace) as file:
            yield lambda piece: _write_and_flush(file, piece)
        return
    target = _resolve_target(path)
    with output_errors(path):
        file = _create_new(target)
        try:
            yield lambda piece: write_all(file, piece)
        finally:
            empty = file.tell() == 0
            file.close()
            if empty:  # after it was closed: Windows removes no open file
                target.unlink(missing_ok=True)


def write_all(file: io.FileIO, piece: bytes) -> None:
    """Write a piece at the end of an unbuffered file. Raises OSError, the file as it was before."""
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


def create_numbered_file(path: Path, taken: Callable[[Path], bool] = lambda _: False) -> tuple[Path, io.FileIO]:
    """Make a new file: `path`, or `name-2`, `name-3` … where that exists. Returns its name, and it, unbuffered.

    taken: whether a free name must not be used either. Raises OSError.
    """
    for number in range(1, _MAX_NUMBER):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if os.path.lexists(candidate) or taken(candidate):
            continue
        with suppress(FileExistsError):
            return candidate, _create_new(candidate)
    raise FileExistsError(errno.EEXIST, f"so do {_MAX_NUMBER} numbered ones", str(path))


def remove_unfinished() -> None:
    """Remove the temporary files of results that are not complete; for a process that ends at once."""
    for beside in tuple(_unfinished_files):
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def output_errors(path: Path | str) -> Iterator[None]:
    """Turn OSError into OutputFailed, which names the destination."""
    try:
        yield
    except OSError as error:
        raise make_write_error(path, error) from None


def make_write_error(path: Path | str, error: Exception) -> OutputError:
    """The failure in one line."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return OutputError(f"cannot write {path}: {reason}")


def _resolve_target(path: Path) -> Path:
    """The file that a link leads to: it is replaced, the link stays."""
    return Path(os.path.realpath(path))


def _is_descriptor(path: Path) -> bool:
    """Whether a path such as /dev/stdout is an open file of a process and no name of a file."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 — resolve() would follow the link in question
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(place.parent)
        if _DESCRIPTORS.fullmatch(folder):
            return True
        place = Path(folder) / place.name
        try:
            place = Path(folder) / place.readlink()
        except OSError:
            return False
    return False


def _create_new(path: Path) -> io.FileIO:
    """A new file, unbuffered. Raises FileExistsError."""
    return io.FileIO(path, "xb")


def _create_beside(target: Path) -> Path:
    beside = target.with_name(f".streamseg-{secrets.token_hex(6)}.part")
    _unfinished_files.add(beside)
    try:
        _create_new(beside).close()
    except OSError:
        _unfinished_files.discard(beside)
        raise
    return beside


def _rename_to_new(beside: Path, target: Path) -> None:
    """Rename, unless somebody has made the target meanwhile."""
    try:
        os.link(beside, target)
    except FileExistsError:
        raise UsageError(f"{target} was made by another program meanwhile and is left as it is") from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise UsageError(f"{target} was made by another program meanwhile and is left as it is") from None
        beside.replace(target)


def _write_and_flush(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)
    file.flush()
