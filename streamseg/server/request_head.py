"""Reads the head of a client's first request before `websockets` does.

`websockets` closes the connection on a request with a body, and reads what follows a request as frames. A browser or a
script should get an answer instead: a body is refused with a message, and what follows a request is discarded.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_METHOD_START = re.compile(rb"[A-Z]")


class RequestHead(NamedTuple):
    """The head of an HTTP request (request line and headers), and the bytes that came after it.

    head: its bytes. method: such as GET; "" where the bytes begin no request. has_body: whether a body follows.
    upgrades: whether `websockets` shall get what follows. rest: the bytes that came after the head.
    """

    head: bytes
    method: str
    has_body: bool
    upgrades: bool
    rest: bytes


class RequestHeadReader:
    """Collects a client's first bytes until the head of its HTTP request is complete."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        """The number of bytes collected so far."""
        return len(self._data)

    def add_bytes(self, data: bytes) -> RequestHead | None:
        """Add bytes that the client sent; return the head of the request when it is complete, None before.

        Bytes that cannot begin an HTTP request are returned at once as a head with an empty method.
        """
        search_start = max(0, len(self._data) - 3)
        self._data += data
        if not _METHOD_START.match(self._data):
            return RequestHead(bytes(self._data), method="", has_body=False, upgrades=True, rest=b"")
        end = _END_OF_HEAD.search(self._data, search_start)
        if end is None:
            return None
        head, rest = bytes(self._data[: end.end()]), bytes(self._data[end.end() :])
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
