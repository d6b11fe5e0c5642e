"""Standard output of a server: a full disk or a closed pipe under it ends nothing.

What cannot be written is left out; that is said once on standard error, and the next line is tried again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class PatientStream:
    """A text stream whose failures are said once and otherwise ignored; it writes straight to the descriptor."""

    def __init__(self, stream: TextIO, messages: TextIO) -> None:
        """stream: with a file descriptor, nothing waiting in it. messages: where it is said that it fails."""
        self._stream = stream
        self._descriptor = stream.fileno()
        self._messages = messages
        self._lost = 0  # pieces since it failed
        self._torn = False  # whether a piece was written in part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write all of it, or leave it out. Never raises OSError."""
        data = text.encode(self._stream.encoding or "utf-8", self._stream.errors or "strict")
        view = memoryview(b"\n" + data if self._torn else data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._torn = self._torn or len(view) < len(data)
            self._lost += 1
            if self._lost == 1:
                self._say(
                    f"standard output cannot be written ({error.strerror}); the sound goes on, and it is tried again"
                )
            return len(text)
        self._torn = False
        if self._lost:
            lost, self._lost = self._lost, 0
            self._say(f"standard output can be written again; {lost} lines are missing")
        return len(text)

    def flush(self) -> None:
        """Everything is written already."""

    def _say(self, message: str) -> None:
        with suppress(OSError, ValueError):
            self._messages.write(f"streamseg: {message}\n")
            self._messages.flush()


@contextmanager
def patient_output() -> Iterator[None]:
    """Within the block standard output does not fail."""
    before = sys.stdout
    try:
        before.flush()
        # A console of Windows takes no UTF-8 by its descriptor, and is never full.
        if sys.platform != "win32" or not before.isatty():
            sys.stdout = PatientStream(before, sys.stderr)
    except (OSError, ValueError, AttributeError):  # closed, or no file, as in a notebook
        pass
    try:
        yield
    finally:
        sys.stdout = before
