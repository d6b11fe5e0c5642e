"""Standard input, output and error as a process may find them: closed, full, broken, or of another encoding.

Lines for people are left out where they cannot be written, and the command goes on; results raise OSError, which the
command answers. A reader of standard output that went away ends the command, as it does everywhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast


def prepare_standard_streams() -> None:
    """Called once, before anything is opened or printed.

    A closed descriptor is occupied first: the next file opened would get its number, and whatever a C library prints
    would go into that file.
    """
    for number in range(3):
        _occupy(number)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            _set_encoding(stream)
    sys.stderr = cast(TextIO, TolerantStream(sys.stderr))


def _occupy(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # Standard output is opened for reading: a result written to it fails and is not lost in silence.
        opened = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
        if opened == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(opened, number)
            os.close(opened)


def _set_encoding(stream: io.TextIOWrapper) -> None:
    """UTF-8 for what programs read and write, whatever the locale; what a terminal cannot show becomes `?`."""
    interactive = stream.isatty()
    if stream.fileno() == 0:
        if not interactive:
            stream.reconfigure(encoding="utf-8")
    elif stream.fileno() == 1 and not interactive:
        stream.reconfigure(encoding="utf-8", errors="replace", newline="\n")
    else:
        stream.reconfigure(errors="replace")


def finish_standard_streams() -> None:
    """Called last: what still waits in a standard output that fails is dropped, or the exit code would be 120."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)


class TolerantStream:
    """A text stream whose failures cost a line and not the command. Everything else is the stream's own."""

    def __init__(self, stream: TextIO, failed: Callable[[OSError], None] | None = None) -> None:
        """failed: called with what went wrong when writing begins to fail; it may raise to let the failure through."""
        self.stream = stream
        self._failed = failed
        self._failing = False
        self._written = False  # whether anything was accepted since the last failure

    def write(self, text: str) -> int:
        """Write the text, or as much of it as the stream's encoding can hold."""
        with self._tolerating():
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                encoding = self.stream.encoding
                self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self._written = True
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what waits."""
        with self._tolerating():
            self.stream.flush()
            self._failing = self._failing and not self._written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextlib.contextmanager
    def _tolerating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            began, self._failing, self._written = not self._failing, True, False
            if began and self._failed is not None:
                self._failed(error)
        except (ValueError, RuntimeError):
            pass  # closed meanwhile; or a signal's handler prints while we do
