"""What the decoding child tells its parent: one line of text each, in UTF-8.

format 44100 2         sample rate in Hz and channels, once, before the first block
block 44100            so many samples per channel are in the next slot
end truncated TEXT     how it ended: the kind and, unless complete, a predicate whose subject is the file
"""

from __future__ import annotations

from typing import Final

COMPLETE: Final = "complete"
NOT_AUDIO: Final = "not-audio"
TRUNCATED: Final = "truncated"
FAILED: Final = "failed"
OUT_OF_MEMORY: Final = "out-of-memory"
SPINNING: Final = "spinning"  # worked too long without giving a sample

ENDINGS: Final = (COMPLETE, NOT_AUDIO, TRUNCATED, FAILED, OUT_OF_MEMORY, SPINNING)
MAX_LINE_BYTES: Final = 2048  # bytes


def ending_line(kind: str, text: str = "") -> bytes:
    """The line that says how it ended, cut to the longest that may be sent."""
    one_line = " ".join(f"end {kind} {text}".split())
    return one_line.encode("utf-8", "replace")[: MAX_LINE_BYTES - 1] + b"\n"
