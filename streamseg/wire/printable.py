"""Text from elsewhere (file names, tags, stations, servers, clients), made fit to be shown and written.

A character that commands a terminal, ends a line, reverses the order of reading or cannot be encoded stays data only
as long as nobody prints it. Whatever shows such text, or writes it into a format of lines, passes it through here.
"""

from __future__ import annotations

import re
from typing import Final

# White space that ends or moves a line: C0 and C1 controls, and Unicode's line and paragraph separators.
_LINE_BREAKS: Final = "\t\n\v\f\r\x85\u2028\u2029"
_UNPRINTABLE: Final = (
    *range(0x20),  # C0
    *range(0x7F, 0xA0),  # DEL and C1
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
    *range(0x2066, 0x206A),  # bidirectional isolates
    *range(0xD800, 0xE000),  # surrogates: what was no UTF-8 in a file name
    0xFFFE,  # no characters; XML forbids both
    0xFFFF,
)
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_PRINTABLE: Final = dict.fromkeys(_UNPRINTABLE, REPLACEMENT) | dict.fromkeys(map(ord, _LINE_BREAKS), " ")
_UNSAFE_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def make_printable(text: str) -> str:
    """The text on one line: line breaks and tabs become spaces, other unprintable characters U+FFFD.

    Of the same length in characters as the input.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_PRINTABLE)


def make_one_line(text: str, longest: int | None = None) -> str:
    """`printable`, with single spaces, and cut to `longest` characters where that is given."""
    line = " ".join(make_printable(text).split())
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def is_printable(text: str) -> bool:
    """Whether `printable` would leave the text as it is."""
    return make_printable(text) == text


def escape_unprintable_json(json: str) -> str:
    """The same JSON document, with control characters that JSON allows inside strings written as escapes.

    JSON itself forbids raw C0 characters only; C1 and bidirectional controls reach a terminal otherwise.
    """
    if json.isascii() and "\x7f" not in json:
        return json
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
