"""A result, piece by piece, to a file or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from streamseg.errors import OutputFailed


def write(pieces: Iterable[str], out: Path | None) -> None:
    """Write every piece as it comes. Raises OutputFailed when the file cannot be written.

    The file is opened at the first piece, so that a result that cannot be made leaves an older file alone.
    """
    if out is None:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()  # whoever reads a pipe wants events as they come
        return
    pieces = iter(pieces)
    first = next(pieces, "")
    try:
        with out.open("w", encoding="utf-8") as file:
            file.writelines(chain([first], pieces))
    except OSError as error:
        raise OutputFailed(f"cannot write {out}: {error.strerror}") from None
