"""The rules for names that users give to labels and named sounds.

A name is sent to clients, stored, shown on screens, and written into file names and a dozen formats. It is checked
once, when it is entered: in a request over the WebSocket and on the command line.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from streamseg.errors import UsageError
from streamseg.wire.printable import is_printable, make_one_line

MAX_NAME_BYTES: Final = 200
_INVISIBLE: Final = frozenset(("Cc", "Cf", "Cn", "Zl", "Zp", "Zs"))  # Unicode categories


def check_and_normalise_name(name: str) -> str:
    """Return a user's name in the form that is stored (Unicode NFC, no surrounding space); raise UsageError if invalid.

    Invalid is a name that is blank, longer than MAX_NAME_BYTES in UTF-8, or contains control characters,
    bidirectional controls or lone surrogates.
    """
    clean_name = unicodedata.normalize("NFC", name).strip()
    if not is_printable(clean_name):
        raise UsageError(
            "a name holds no control characters or line breaks; "
            f"found {make_one_line(clean_name, 60)!r} (� stands for them)"
        )
    if all(unicodedata.category(character) in _INVISIBLE for character in clean_name):
        raise UsageError("a name holds at least one visible character; a blank one was given")
    if (length := len(clean_name.encode())) > MAX_NAME_BYTES:
        raise UsageError(
            f"a name takes at most {MAX_NAME_BYTES} bytes of UTF-8; {make_one_line(clean_name, 40)!r} takes {length}"
        )
    return clean_name
