"""A result, piece by piece, to a file or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from streamseg.destinations import append_lines, make_write_error, write_atomically


def write_output(pieces: Iterable[str], out: Path | None, *, replace: bool = False, growing: bool = False) -> None:
    """Write every piece as it comes, to `out` or, without it, to standard output. Raises OutputFailed.

    The file is made at the first piece, so that a result that cannot be made leaves no file. It appears when it is
    complete; growing: a new one grows where it is. replace: an existing file may give way.
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
        write_piece(piece.encode("utf-8", "surrogateescape"))  # a file's name may be no UTF-8


def write_standard_output(pieces: Iterable[str]) -> None:
    """Write and flush piece by piece. Raises OutputFailed; BrokenPipeError when the reader has gone."""
    for piece in pieces:
        try:
            sys.stdout.write(piece)
            sys.stdout.flush()  # whoever reads a pipe wants events as they come
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise make_write_error("to standard output", error) from None


def silence_standard_output() -> None:
    """What is still in its buffer goes nowhere, so that nothing fails again when the program ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
