"""Makes text from outside (file names, tags, stations, servers, clients) safe to show and to write.

Such text may contain characters that control a terminal, end a line, reverse the reading order or cannot be encoded.
Everything that shows it, or writes it into a format of lines, passes it through a function of this module.
"""

from __future__ import annotations

import re
from typing import Final

# White space that ends or moves a line: C0 and C1 controls, Unicode's line and paragraph separators.
_LINE_BREAKS: Final = "\t\n\v\f\r\x85\u2028\u2029"
_UNPRINTABLE: Final = (
    *range(0x20),  # C0
    *range(0x7F, 0xA0),  # DEL and C1
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
    *range(0x2066, 0x206A),  # bidirectional isolates
    *range(0xD800, 0xE000),  # surrogates: what was no UTF-8 in a file name
    0xFFFE,  # this and the next are no characters; XML forbids both
    0xFFFF,
)
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_PRINTABLE: Final = dict.fromkeys(_UNPRINTABLE, REPLACEMENT) | dict.fromkeys(map(ord, _LINE_BREAKS), " ")
_UNSAFE_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def make_printable(text: str) -> str:
    """Replace line breaks and tabs by spaces, and other unprintable characters by U+FFFD. The length stays the same."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_PRINTABLE)


def make_one_line(text: str, max_length: int | None = None) -> str:
    """Make a text printable and return it as one line: each run of white space becomes one space.

    max_length: characters; a longer text is cut and ends with "…". None does not cut.
    """
    line = " ".join(make_printable(text).split())
    return line if max_length is None or len(line) <= max_length else line[: max_length - 1] + "…"


def is_printable(text: str) -> bool:
    """Return whether a text has no unprintable character, tab or line break: `make_printable` leaves it unchanged."""
    return make_printable(text) == text


def escape_unprintable_json(json: str) -> str:
    """Escape control characters in the strings of a JSON document; the document still decodes to the same value.

    JSON itself forbids only raw C0 characters, so C1 and bidirectional controls would reach a terminal.
    """
    if json.isascii() and "\x7f" not in json:
        return json
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", json)
