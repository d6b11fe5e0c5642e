"""Collects the files that a command reads, and refuses to write to any of them, under any name."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from streamseg.atomic_files import check_file_can_be_written, check_folder_can_be_written, would_replace_file
from streamseg.errors import UsageError


class InputFiles:
    """The set of files that a command reads. The command must not write to any of them, not even with `--force`.

    Files are compared by device and inode, so that links and other spellings of a path are found.
    """

    def __init__(self, paths: Iterable[Path | str] = ()) -> None:
        """paths: the first files of the set; they need not exist."""
        self._files: dict[tuple[int, int], str] = {}
        self._absent_paths: dict[str, str] = {}
        for path in paths:
            self.add_path(path)

    def add_standard_input(self) -> None:
        """Add the file that is redirected to standard input, if there is one."""
        with suppress(OSError, ValueError, AttributeError):
            self._add_file(os.fstat(sys.stdin.fileno()), "standard input")

    def add_path(self, path: Path | str) -> None:
        """Add the file at `path` to the set; the file need not exist."""
        try:
            self._add_file(os.stat(path), str(path))  # noqa: PTH116 — a str as the user wrote it
        except (OSError, ValueError):
            self._absent_paths[_normalise_path(path)] = str(path)

    def _add_file(self, status: os.stat_result, name: str) -> None:
        if stat.S_ISREG(status.st_mode):
            self._files.setdefault((status.st_dev, status.st_ino), name)

    def find_same_file(self, path: Path | str) -> str | None:
        """Return the path of the input, or `standard input`, that is the same file as `path`; None if no input is."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except (OSError, ValueError):
            return self._absent_paths.get(_normalise_path(path))
        return self._files.get((status.st_dev, status.st_ino))

    def refuse_redirection_to_input(self) -> None:
        """Raise UsageError when standard output or standard error is redirected to a file of this set."""
        for stream, stream_name in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
            try:
                status = os.fstat(stream.fileno())
            except (OSError, ValueError, AttributeError):  # closed, or not a file
                continue
            name = self._files.get((status.st_dev, status.st_ino))
            if name is not None:
                raise UsageError(f"{stream_name} goes into {name}, which is read; send it elsewhere")

    def refuse_input_as_output(self, path: Path | str) -> None:
        """Raise UsageError when the output file `path` is a file of this set."""
        name = self.find_same_file(path)
        if name is not None:
            same = "it" if name == str(path) else f"it under the name {name}"
            raise UsageError(f"{path} is not written: this command reads {same}; name another file")

    def decide_replacing_outputs(
        self,
        paths: Sequence[Path],
        *,
        force: bool = False,
        ask: Callable[[str], bool] | None = None,
        folder_to_make: Path | None = None,
    ) -> bool:
        """Return True if output files exist and may be replaced, False if none exists; otherwise raise UsageError.

        The result is passed on as `replace`. force: existing files may be replaced. ask: without `force`, called with a
        question if a file exists, returns whether to replace it; with None an existing file is refused.
        folder_to_make: a folder for output files that need not exist yet.
        Raises UsageError (an input file, a folder, an existing file, the same file twice), OutputError (no folder, no
        permission).
        """
        for path in paths:
            self.refuse_input_as_output(path)
        spellings = [_normalise_path(path) for path in paths]
        for path, spelling in zip(paths, spellings, strict=True):
            if spellings.count(spelling) > 1:
                raise UsageError(f"two results would be written to {path}; name another file, or rename the inputs")
        if folder_to_make is not None:
            check_folder_can_be_written(folder_to_make)
        for path in paths:
            if folder_to_make is None or path.parent != folder_to_make or os.path.lexists(folder_to_make):
                check_file_can_be_written(path, replace=True)
        existing = [path for path in paths if would_replace_file(path)]
        if existing and not force:
            more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
            exist = "exist" if more else "exists"
            if ask is None or not ask(f"{existing[0]}{more} {exist}; replace?"):
                raise UsageError(
                    f"{existing[0]}{more} {exist} and nothing was written; name another, or allow it with --force"
                )
        return bool(existing)


def _normalise_path(path: Path | str) -> str:
    """One spelling for all paths of a file that does not exist, as far as the paths show it."""
    return os.path.normcase(os.path.realpath(path))
