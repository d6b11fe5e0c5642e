"""The head of a client's first request, looked at before `websockets` reads it.

`websockets` refuses every request with a body by hanging up, and reads whatever follows a request as frames. A browser
or a script deserves an answer: a body is refused in words, and what follows a request is thrown away.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_METHOD_BEGINS = re.compile(rb"[A-Z]")


class RequestHead(NamedTuple):
    """A request's head: its bytes, what it says of itself, and what came after it."""

    head: bytes
    method: str
    has_body: bool
    upgrades: bool
    rest: bytes


class RequestHeadReader:
    """Gathers a client's first bytes until the head of a request is whole."""

    def __init__(self) -> None:
        self._received = bytearray()

    @property
    def size(self) -> int:
        """Bytes gathered so far."""
        return len(self._received)

    def push(self, data: bytes) -> RequestHead | None:
        """Take bytes in; the head once it is whole, None before. Bytes that begin no request are given at once."""
        unsearched = max(0, len(self._received) - 3)
        self._received += data
        if not _METHOD_BEGINS.match(self._received):
            return RequestHead(bytes(self._received), method="", has_body=False, upgrades=True, rest=b"")
        end = _END_OF_HEAD.search(self._received, unsearched)
        if end is None:
            return None
        head, rest = bytes(self._received[: end.end()]), bytes(self._received[end.end() :])
        first, *lines = head.split(b"\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        lengths = [line for line in lines if line.lower().startswith(b"content-length:")]
        return RequestHead(
            head,
            method=first.partition(b" ")[0].decode("latin-1"),
            has_body=b"transfer-encoding" in fields
            or any(line.partition(b":")[2].strip() not in (b"", b"0") for line in lengths),
            upgrades=b"upgrade" in fields,
            rest=rest,
        )
