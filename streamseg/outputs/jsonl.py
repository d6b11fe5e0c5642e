"""JSON lines: one event per line, in the form in which clients receive it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from streamseg.errors import OutputError
from streamseg.wire.envelope import Envelope, decode_envelope, encode_envelope
from streamseg.wire.printable import escape_unprintable_json

_LONGEST_LINE: Final = 4 * 2**20  # bytes; no event is longer, and a file of something else may have no line ends


def render(envelopes: Iterable[Envelope]) -> Iterator[str]:
    """Yield each event as one line of JSON, as soon as the event comes; control characters in the line are escaped."""
    for envelope in envelopes:
        yield escape_unprintable_json(encode_envelope(envelope).decode()) + "\n"


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Read the lines of a file one by one; a line over 4 MiB, too long for an event, is yielded in pieces."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def parse_lines(lines: Iterable[bytes | str], *, name: str) -> Iterator[Envelope]:
    """Parse lines of JSON, as `render` wrote them, and yield one event per line; blank lines are skipped.

    name: of the file, for messages. Raises OutputError at the first line that is not an event, or at the end if there
    was none.
    """
    is_empty = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            envelope = decode_envelope(line)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise OutputError(
                f"{name}, line {number} is not an event of streamseg ({error}); give a file that `analyze` wrote"
            ) from None
        is_empty = False
        yield envelope
    if is_empty:
        raise OutputError(f"{name} holds no events, it is empty; give a file that `analyze` wrote")
