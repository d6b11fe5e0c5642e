"""Reads the events of a run from a file of JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from streamseg.errors import SourceError, SourceNotFoundError
from streamseg.outputs import jsonl
from streamseg.wire.envelope import Envelope


def read_events(path: Path | str) -> Iterator[Envelope]:
    """Read the events of a file that `analyze` or `watch --json` wrote, in order. path: "-" reads standard input.

    Raises SourceNotFoundError without the file, SourceError when it cannot be read, OutputError when a line is not an
    event; TruncatedSourceError after the last event if the file ends in the middle of a line.
    """
    path = Path(path)
    is_standard_input = str(path) == "-"
    try:
        if not is_standard_input and path.is_dir():
            raise SourceNotFoundError(f"{str(path)!r} is a folder; name a file of events in it")
        with nullcontext(sys.stdin.buffer) if is_standard_input else path.open("rb") as file:
            yield from jsonl.parse_lines(
                jsonl.read_lines(file), name="standard input" if is_standard_input else str(path)
            )
    except FileNotFoundError:
        raise SourceNotFoundError(f"no file {str(path)!r}; make one: streamseg analyze FILE -o {path}") from None
    except OSError as error:
        raise SourceError(f"the events {path} cannot be read: {error.strerror}") from None
