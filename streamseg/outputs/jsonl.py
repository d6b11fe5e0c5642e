"""JSON lines: one event object a line, exactly as clients get it; the format everything else is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamseg.envelope import Envelope, decode, encode
from streamseg.errors import OutputFailed
from streamseg.printable import escape_unprintable_json


def write(envelopes: Iterable[Envelope]) -> Iterator[str]:
    """A line an event, as the events come; what would command a terminal stands as an escape."""
    for envelope in envelopes:
        yield escape_unprintable_json(encode(envelope).decode()) + "\n"


def read(lines: Iterable[str], *, of: str) -> Iterator[Envelope]:
    """The events of a file written by `write`; blank lines are skipped.

    of: the file's name, for the message. Raises OutputFailed at the first line that is not an event.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield decode(line)
        except ValueError as error:  # msgspec's errors are ValueErrors
            raise OutputFailed(f"{of}, line {number} is not an event of streamseg: {error}") from None
