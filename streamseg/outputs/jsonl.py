"""JSON lines: one event object a line, exactly as clients get it; the format everything else is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from streamseg.errors import OutputError
from streamseg.wire.envelope import Envelope, decode_envelope, encode_envelope
from streamseg.wire.printable import escape_unprintable_json

_LONGEST_LINE: Final = 4 * 2**20  # bytes; whatever is longer is no event, and may be a disk full of anything


def render(envelopes: Iterable[Envelope]) -> Iterator[str]:
    """A line an event, as the events come; what would command a terminal stands as an escape."""
    for envelope in envelopes:
        yield escape_unprintable_json(encode_envelope(envelope).decode()) + "\n"


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; one that is too long for an event comes in pieces, which are no events either."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def parse_lines(lines: Iterable[bytes | str], *, of: str) -> Iterator[Envelope]:
    """The events of a file written by `write`; blank lines are skipped.

    of: the file's name, for the message. Raises OutputFailed at the first line that is not an event, or when there
    is none.
    """
    found = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            envelope = decode_envelope(line)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise OutputError(
                f"{of}, line {number} is not an event of streamseg ({error}); give a file that `analyze` wrote"
            ) from None
        found = True
        yield envelope
    if not found:
        raise OutputError(f"{of} holds no events, it is empty; give a file that `analyze` wrote")
