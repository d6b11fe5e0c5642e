"""Who may read, and who may control.

A client proves that it knows a token without sending it: `auth` is the hex HMAC-SHA256 of the server's challenge
under the token. HTTP, which has no challenge, takes the token itself as `Authorization: Bearer`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["read", "control"]


def challenge() -> str:
    """A fresh challenge: 256 random bits, hex."""
    return secrets.token_hex(32)


def answer(token: str, challenge: str) -> str:
    """What a client that knows `token` says to `challenge`."""
    return hmac.new(token.encode(), challenge.encode(), hashlib.sha256).hexdigest()


class Tokens:
    """The tokens of one server. Without a read token, anybody who reaches the port may read."""

    def __init__(self, read: str | None = None, control: str | None = None) -> None:
        self._read = read
        self._control = control

    def __repr__(self) -> str:  # a token must not reach a log
        return f"Tokens(read={'set' if self._read else None}, control={'set' if self._control else None})"

    @property
    def any(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._read or self._control)

    @property
    def guards_reading(self) -> bool:
        """Whether reading takes a token."""
        return bool(self._read)

    @property
    def shortest(self) -> int:
        """Characters of the shortest token there is."""
        return min((len(token) for token in (self._read, self._control) if token), default=0)

    def guarded(self) -> Tokens:
        """The same, reading guarded too: where there is no read token the control token serves."""
        return Tokens(self._read or self._control, self._control)

    def role(self, challenge: str, auth: str | None) -> Role | None:
        """The role that `auth` proves, or None where it proves none.

        Both comparisons are always made, each in constant time, so the time says nothing about either token.
        """
        if auth is None:
            return None if self.guards_reading else "read"
        return self._pick(
            self._same(answer(self._read or "", challenge), auth),
            self._same(answer(self._control or "", challenge), auth),
        )

    def bearer_role(self, authorization: str | None) -> Role | None:
        """The role of an HTTP request's `Authorization` header."""
        if authorization is None:
            return None if self.guards_reading else "read"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._pick(self._same(self._read or "", token.strip()), self._same(self._control or "", token.strip()))

    def _pick(self, reads: bool, controls: bool) -> Role | None:
        if self._control and controls:
            return "control"
        if self._read and reads:
            return "read"
        return None if self.any else "read"

    @staticmethod
    def _same(ours: str, theirs: str) -> bool:
        return hmac.compare_digest(ours.encode(), theirs.encode(errors="surrogatepass"))
