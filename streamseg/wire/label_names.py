"""What a person may call a label or a taught sound.

A name travels far: over the wire, into the memory file, onto screens, into file names and a dozen formats. It is
checked once, where it is taken, by clients of the WebSocket and by the command line alike.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from streamseg.errors import UsageError
from streamseg.wire.printable import is_printable, make_one_line

MAX_NAME_BYTES: Final = 200
_INVISIBLE: Final = frozenset(("Cc", "Cf", "Cn", "Zl", "Zp", "Zs"))  # Unicode's categories


def check_name(name: str) -> str:
    """The name as it is kept: in Unicode's composed form (NFC), without white space around it.

    Raises AskedWrongly for a name that is blank, longer than LONGEST_BYTES of UTF-8, or holds control characters,
    bidirectional controls or lone surrogates.
    """
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not is_printable(cleaned):
        raise UsageError(
            "a name holds no control characters or line breaks; "
            f"found {make_one_line(cleaned, 60)!r} (� stands for them)"
        )
    if all(unicodedata.category(character) in _INVISIBLE for character in cleaned):
        raise UsageError("a name holds at least one visible character; a blank one was given")
    if (length := len(cleaned.encode())) > MAX_NAME_BYTES:
        raise UsageError(
            f"a name takes at most {MAX_NAME_BYTES} bytes of UTF-8; {make_one_line(cleaned, 40)!r} takes {length}"
        )
    return cleaned
