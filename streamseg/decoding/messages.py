"""The messages that the decoding child sends to its parent, each one line of UTF-8 text.

format 44100 2         sample rate in Hz and number of channels, once, before the first block
block 44100            the next slot holds this many samples per channel
end truncated TEXT     how decoding ended: one of `ENDINGS` and, unless complete, a predicate whose subject is the file
"""

from __future__ import annotations

from typing import Final

COMPLETE: Final = "complete"
NOT_AUDIO: Final = "not-audio"
TRUNCATION: Final = "truncated"
FAILURE: Final = "failed"
OUT_OF_MEMORY: Final = "out-of-memory"
SPINNING: Final = "spinning"  # used too much processor time without decoding a sample

ENDINGS: Final = (COMPLETE, NOT_AUDIO, TRUNCATION, FAILURE, OUT_OF_MEMORY, SPINNING)
MAX_LINE_BYTES: Final = 2048


def format_ending(ending: str, text: str = "") -> bytes:
    """Format the last line that the decoding process sends to its parent: `end ENDING TEXT`, at most 2,048 bytes.

    ending: one of `ENDINGS`. text: the reason, a predicate whose subject is the file; empty if decoding was complete.
    """
    one_line = " ".join(f"end {ending} {text}".split())
    return one_line.encode("utf-8", "replace")[: MAX_LINE_BYTES - 1] + b"\n"
