"""JSON lines: one event per line, in the form in which clients receive it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import msgspec

from streamseg.errors import OutputError, TruncatedSourceError
from streamseg.wire.envelope import Envelope, decode_envelope, encode_envelope
from streamseg.wire.printable import escape_unprintable_json

_LONGEST_LINE: Final = 4 * 2**20  # bytes; no event is longer, and a file of something else may have no line ends
_UNFINISHED_END: Final = b"\0+-.0123456789Ee"  # of a cut line: half a number; zeros, where a system crashed


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

    lines: with their line ends; only the last line may lack it. name: of the file, for messages. Raises OutputError at
    the first line that is not an event, or at the end if there was none; TruncatedSourceError after the last event if
    the line that follows it is half written.
    """
    is_empty = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            envelope = decode_envelope(line)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            if not is_empty and _is_half_written(line):
                raise TruncatedSourceError(
                    f"{name} is cut off: line {number}, its last, is half written, and everything before it is intact; "
                    "if the file still grows, repeat this when it is complete"
                ) from None
            raise OutputError(
                f"{name}, line {number} is not an event of streamseg ({error}); give a file that `analyze` wrote"
            ) from None
        is_empty = False
        yield envelope
    if is_empty:
        raise OutputError(f"{name} holds no events, it is empty; give a file that `analyze` wrote")


def _is_half_written(line: bytes | str) -> bool:
    """Return whether a line that is not an event is the beginning of one: without a line end, and valid JSON so far."""
    line = line.encode(errors="replace") if isinstance(line, str) else line
    if line.endswith(b"\n") or len(line) >= _LONGEST_LINE:
        return False
    try:
        decode_envelope(line.rstrip(_UNFINISHED_END))
    except (ValueError, RecursionError) as error:
        return isinstance(error, msgspec.DecodeError) and "truncated" in str(error)
    return True  # a whole event, and zeros
