"""Makes commands work with standard streams that are closed, full, broken or of another encoding.

If a line for people cannot be written, it is left out and the command goes on. If a result cannot be written, OSError
is raised and the command reports it. When the reader of standard output ends, the command ends too. A command that
processes live sound is an exception: no failure of standard output ends it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast


def open_closed_streams_and_set_utf8() -> None:
    """Connect closed standard streams to /dev/null; set UTF-8 where standard input or output is not a terminal.

    Call it once, before any file is opened. Afterwards writing to standard error never raises OSError.

    A closed descriptor is opened first: otherwise the next file that is opened would get its number, and the output of
    a C library would go into that file.
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
        # Standard output is opened for reading, so that writing a result fails and is reported.
        descriptor = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
        if descriptor == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(descriptor, number)
            os.close(descriptor)


def _set_encoding(stream: io.TextIOWrapper) -> None:
    """Set UTF-8 for files and pipes, whatever the locale; a terminal shows `?` for what it cannot show."""
    interactive = stream.isatty()
    if stream.fileno() == 0:
        if not interactive:
            stream.reconfigure(encoding="utf-8")
    elif stream.fileno() == 1 and not interactive:
        stream.reconfigure(encoding="utf-8", errors="replace", newline="\n")
    else:
        stream.reconfigure(errors="replace")


def flush_standard_output_ignoring_errors() -> None:
    """Flush standard output at the end of the program, without raising an error when that fails.

    If flushing fails, the buffer is discarded; otherwise Python would try again and exit with code 120.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)


class TolerantStream:
    """Wraps a text stream so that writing never raises OSError: text that cannot be written is left out.

    Each write goes to the stream at once, to a file or pipe without Python's buffer, so that no text is written late.
    Attributes other than the methods below are those of the stream.
    """

    def __init__(
        self,
        stream: TextIO,
        on_failure: Callable[[OSError], None] | None = None,
        on_recovery: Callable[[int], None] | None = None,
    ) -> None:
        """on_failure: called with the error when writing begins to fail; `write` raises what it raises.

        on_recovery: called with the number of missing lines when writing succeeds again.
        """
        self.stream = stream
        self._on_failure = on_failure
        self._on_recovery = on_recovery
        self._descriptor = _find_descriptor(stream)
        self._is_failing = False
        self._lost_line_count = 0  # since writing began to fail
        self._is_inside_line = False  # the last text written did not end with a line break

    def write(self, text: str) -> int:
        """Write `text`; characters that the stream cannot encode become `?`. Always returns the length of `text`."""
        try:
            if self._descriptor is None:
                self._write_buffered(text)
            else:
                self._write_bytes(self._descriptor, text)
        except OSError as error:
            is_first, self._is_failing = not self._is_failing, True
            self._lost_line_count += text.count("\n")
            if is_first and self._on_failure is not None:
                self._on_failure(error)
        except (ValueError, RuntimeError):
            pass  # the stream was closed; or a signal handler prints during a print
        else:
            if self._is_failing:
                lost_lines, self._is_failing, self._lost_line_count = self._lost_line_count, False, 0
                if self._on_recovery is not None:
                    self._on_recovery(lost_lines)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Call `write` with each of `lines`; no line breaks are added."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: every write goes to the stream at once."""

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
        if self._is_failing and self._is_inside_line:  # the missing text began within a line
            data = b"\n" + data
        view = memoryview(data)
        while view:
            count = os.write(descriptor, view)
            self._is_inside_line = count > 0 and view[count - 1] != ord("\n")
            view = view[count:]


def _find_descriptor(stream: TextIO) -> int | None:
    """The descriptor of a file or pipe, to write to without a buffer; None for a terminal, which may need text."""
    try:
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.flush()
            return stream.fileno()
    except (OSError, ValueError):  # closed, failing, or without a descriptor
        pass
    return None


@contextlib.contextmanager
def tolerate_standard_output_errors() -> Iterator[None]:
    """In the `with` block, make writing to standard output never raise; text that cannot be written is left out.

    The first lost line and the recovery are reported on standard error. Used while live sound is processed.
    """
    stdout = sys.stdout
    sys.stdout = cast(TextIO, TolerantStream(stdout, report_lost_output, report_restored_output))
    try:
        yield
    finally:
        sys.stdout = stdout


def report_lost_output(error: OSError) -> None:
    """Print to standard error that standard output cannot be written.

    Nothing is printed when standard output was closed from the start, because the user chose that.
    """
    if error.errno != errno.EBADF:
        _print_message(
            f"standard output cannot be written ({error.strerror}); the command goes on and tries again at each line"
        )


def report_restored_output(lost_lines: int) -> None:
    """Print to standard error that standard output can be written again, and how many lines are missing."""
    _print_message(f"standard output can be written again; {lost_lines} lines are missing")


def _print_message(message: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"streamseg: {message}\n")
        sys.stderr.flush()
