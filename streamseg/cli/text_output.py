"""Writes a result, piece by piece, to a file or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from streamseg.atomic_files import append_lines, make_write_error, write_atomically


def write_output(pieces: Iterable[str], out: Path | None, *, replace: bool = False, growing: bool = False) -> None:
    """Write each piece when it comes, to `out` or, if that is None, to standard output. Raises OutputError.

    The file is made at the first piece, so that a result that fails before leaves no file. It appears when it is
    complete; growing: it appears at once and grows. replace: an existing file may be replaced.
    """
    if out is None:
        write_standard_output(pieces)
        return
    pieces = iter(pieces)
    first = next(pieces, "")
    if growing:
        with append_lines(out, replace=replace) as write_piece:
            _write_each(chain([first], pieces), write_piece)
    else:
        with write_atomically(out, replace=replace) as file:
            _write_each(chain([first], pieces), file.write)


def _write_each(pieces: Iterable[str], write_piece: Callable[[bytes], object]) -> None:
    for piece in pieces:
        write_piece(piece.encode("utf-8", "surrogateescape"))  # the name of a file may not be UTF-8


def write_standard_output(pieces: Iterable[str]) -> None:
    """Write and flush piece by piece. Raises OutputError; BrokenPipeError when the reader has ended."""
    for piece in pieces:
        try:
            sys.stdout.write(piece)
            sys.stdout.flush()  # the reader of a pipe needs events when they happen
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise make_write_error("to standard output", error) from None


def silence_standard_output() -> None:
    """Discard what is still in the buffer, so that it does not fail again when the program ends."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
