"""Standard input, output and error as a process may find them: closed, full, broken, or of another encoding.

Lines for people are left out where they cannot be written, and the command goes on; results raise OSError, which the
command answers. A reader of standard output that went away ends the command, as it does everywhere, except where live
sound is heard: there nothing that happens to standard output ends anything.
"""

from __future__ import annotations

import contextlib
import errno
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
        _open_null_at(number)
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


def _open_null_at(number: int) -> None:
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
    """A text stream whose failures cost text and not the command. Everything else is the stream's own.

    Each write is handed on at once, to a file or pipe without Python's buffer: what cannot be written is left out and
    does not come late, and the next text is tried again.
    """

    def __init__(
        self,
        stream: TextIO,
        failed: Callable[[OSError], None] | None = None,
        recovered: Callable[[int], None] | None = None,
    ) -> None:
        """failed: called with what went wrong when writing begins to fail; it may raise to let the failure through.

        recovered: called when writing succeeds again, with how many lines are missing.
        """
        self.stream = stream
        self._on_failure = failed
        self._on_recovery = recovered
        self._descriptor = _find_descriptor(stream)
        self._is_failing = False
        self._lost_line_count = 0  # since writing began to fail
        self._is_inside_line = False  # whether what was written last ends within a line

    def write(self, text: str) -> int:
        """Write the text, or as much of it as the stream's encoding can hold."""
        try:
            if self._descriptor is None:
                self._write_buffered(text)
            else:
                self._write_bytes(self._descriptor, text)
        except OSError as error:
            began, self._is_failing = not self._is_failing, True
            self._lost_line_count += text.count("\n")
            if began and self._on_failure is not None:
                self._on_failure(error)
        except (ValueError, RuntimeError):
            pass  # closed meanwhile; or a signal's handler prints while we do
        else:
            if self._is_failing:
                lost, self._is_failing, self._lost_line_count = self._lost_line_count, False, 0
                if self._on_recovery is not None:
                    self._on_recovery(lost)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits: every write is handed on at once."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _write_buffered(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()

    def _write_bytes(self, descriptor: int, text: str) -> None:
        try:
            data = text.encode(self.stream.encoding, self.stream.errors or "strict")
        except UnicodeEncodeError:
            data = text.encode(self.stream.encoding, "replace")
        if self._is_failing and self._is_inside_line:  # what is missing began within a line
            data = b"\n" + data
        view = memoryview(data)
        while view:
            written = os.write(descriptor, view)
            self._is_inside_line = written > 0 and view[written - 1] != ord("\n")
            view = view[written:]


def _find_descriptor(stream: TextIO) -> int | None:
    """Where to write past the buffer: a file or a pipe. None of a terminal, whose system may want text."""
    try:
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.flush()
            return stream.fileno()
    except (OSError, ValueError):  # closed, failing, or not of the system
        pass
    return None


@contextlib.contextmanager
def tolerate_standard_output() -> Iterator[None]:
    """Within the block standard output does not fail, even when its reader goes away."""
    before = sys.stdout
    sys.stdout = cast(TextIO, TolerantStream(before, report_lost_output, report_restored_output))
    try:
        yield
    finally:
        sys.stdout = before


def report_lost_output(error: OSError) -> None:
    """Say that standard output fails, unless it was closed from the start and so on purpose."""
    if error.errno != errno.EBADF:
        _print_message(
            f"standard output cannot be written ({error.strerror}); it goes on without, and each line is tried again"
        )


def report_restored_output(lost_lines: int) -> None:
    """Say that standard output is whole again."""
    _print_message(f"standard output can be written again; {lost_lines} lines are missing")


def _print_message(message: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"streamseg: {message}\n")
        sys.stderr.flush()
