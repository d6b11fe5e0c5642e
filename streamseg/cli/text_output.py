"""Writes a result, piece by piece, to a file or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from streamseg.atomic_files import make_write_error, write_atomically, write_growing_file


def write_output(pieces: Iterable[str], out: Path | None, *, replace: bool = False, growing: bool = False) -> None:
    """Write the pieces of a text, one after the other, to the file `out`, or to standard output if `out` is None.

    Each piece is written when the iterable yields it. The file appears when it is complete; with `growing`, it appears
    at the first piece and grows. replace: an existing file is replaced. If the iterable raises before its first piece,
    no file is created. Raises OutputError.
    """
    if out is None:
        write_standard_output(pieces)
        return
    pieces = iter(pieces)
    first = next(pieces, "")
    if growing:
        with write_growing_file(out, replace=replace) as write_piece:
            _write_each(chain([first], pieces), write_piece)
    else:
        with write_atomically(out, replace=replace) as file:
            _write_each(chain([first], pieces), file.write)


def _write_each(pieces: Iterable[str], write_piece: Callable[[bytes], object]) -> None:
    for piece in pieces:
        write_piece(piece.encode("utf-8", "surrogateescape"))  # the name of a file may not be UTF-8


def write_standard_output(pieces: Iterable[str]) -> None:
    """Write and flush each piece; raise OutputError if that fails, BrokenPipeError if the pipe's reader has ended."""
    for piece in pieces:
        try:
            sys.stdout.write(piece)
            sys.stdout.flush()  # the reader of a pipe needs events when they happen
        except BrokenPipeError:
            raise
        except OSError as error:
            redirect_standard_output_to_null()
            raise make_write_error("to standard output", error) from None


def redirect_standard_output_to_null() -> None:
    """Redirect standard output to /dev/null, so that flushing its buffer at exit does not fail again."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
