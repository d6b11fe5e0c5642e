"""The files that a command reads: none of them may be its output, under whatever name."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from streamseg.destinations import check_destination, check_folder, would_replace
from streamseg.errors import UsageError


class ReadFiles:
    """The files that a command reads. None of them may be written, whatever was allowed."""

    def __init__(self, paths: Iterable[Path | str] = ()) -> None:
        """paths: files that may exist or not."""
        self._files: dict[tuple[int, int], str] = {}
        self._absent_paths: dict[str, str] = {}
        for path in paths:
            self.add_path(path)

    def add_standard_input(self) -> None:
        """Standard input is read, which a file may have been redirected to."""
        with suppress(OSError, ValueError, AttributeError):
            self._add_file(os.fstat(sys.stdin.fileno()), "standard input")

    def add_path(self, path: Path | str) -> None:
        """One more file."""
        try:
            self._add_file(os.stat(path), str(path))  # noqa: PTH116 — a str as the user wrote it
        except (OSError, ValueError):
            self._absent_paths[_normalise_path(path)] = str(path)

    def _add_file(self, found: os.stat_result, name: str) -> None:
        if stat.S_ISREG(found.st_mode):
            self._files.setdefault((found.st_dev, found.st_ino), name)

    def name_of(self, path: Path | str) -> str | None:
        """Under which name this very file is read; None when it is not."""
        try:
            found = os.stat(path)  # noqa: PTH116
        except (OSError, ValueError):
            return self._absent_paths.get(_normalise_path(path))
        return self._files.get((found.st_dev, found.st_ino))

    def refuse_standard_streams(self) -> None:
        """Raise AskedWrongly when standard output or standard error goes into a file that is read."""
        for stream, what in ((sys.stdout, "standard output"), (sys.stderr, "standard error")):
            try:
                found = os.fstat(stream.fileno())
            except (OSError, ValueError, AttributeError):  # closed, or no file
                continue
            name = self._files.get((found.st_dev, found.st_ino))
            if name is not None:
                raise UsageError(f"{what} goes into {name}, which is read; send it elsewhere")

    def refuse_output(self, path: Path | str) -> None:
        """Raise AskedWrongly when this file is one of those that are read."""
        name = self.name_of(path)
        if name is not None:
            same = "it" if name == str(path) else f"it under the name {name}"
            raise UsageError(f"{path} is not written: this command reads {same}; name another file")

    def check_output(
        self,
        paths: Sequence[Path],
        *,
        force: bool = False,
        ask: Callable[[str], bool] | None = None,
        folder_to_make: Path | None = None,
    ) -> bool:
        """Raise unless all these destinations may be written; returns whether existing files may be replaced.

        force: they may. ask: called with a question when they may not; None refuses. folder_to_make: need not exist.
        Raises AskedWrongly (an input, a folder, an existing file, one file twice), OutputFailed (no folder, not
        permitted).
        """
        for path in paths:
            self.refuse_output(path)
        spellings = [_normalise_path(path) for path in paths]
        for path, spelling in zip(paths, spellings, strict=True):
            if spellings.count(spelling) > 1:
                raise UsageError(f"two results would be written to {path}; name another file, or rename what is read")
        if folder_to_make is not None:
            check_folder(folder_to_make)
        for path in paths:
            if folder_to_make is None or path.parent != folder_to_make or os.path.lexists(folder_to_make):
                check_destination(path, replace=True)
        existing = [path for path in paths if would_replace(path)]
        if existing and not force:
            more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
            exist = "exist" if more else "exists"
            if ask is None or not ask(f"{existing[0]}{more} {exist}; replace?"):
                raise UsageError(
                    f"{existing[0]}{more} {exist} and nothing was written; name another, or allow it with --force"
                )
        return bool(existing)


def _normalise_path(path: Path | str) -> str:
    """The same for names of one file that does not exist, as far as names can tell."""
    return os.path.normcase(os.path.realpath(path))
