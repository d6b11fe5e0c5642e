"""Who may read, and who may control.

A client proves that it knows a token without sending it: `auth` is the hex HMAC-SHA256 of the server's challenge
under the token. HTTP, which has no challenge, takes the token itself as `Authorization: Bearer`.
"""

from __future__ import annotations

import hmac
from typing import Literal, TypeAlias

from streamseg.wire.token_proof import compute_proof

Role: TypeAlias = Literal["read", "control"]


class AccessTokens:
    """The tokens of one server. Without a read token, anybody who reaches the port may read."""

    def __init__(self, read: str | None = None, control: str | None = None) -> None:
        self._read = read
        self._control = control

    def __repr__(self) -> str:  # a token must not reach a log
        return f"Tokens(read={'set' if self._read else None}, control={'set' if self._control else None})"

    @property
    def is_set(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._read or self._control)

    @property
    def guards_reading(self) -> bool:
        """Whether reading takes a token."""
        return bool(self._read)

    @property
    def shortest_length(self) -> int:
        """Characters of the shortest token there is."""
        return min((len(token) for token in (self._read, self._control) if token), default=0)

    def guard_reading(self) -> AccessTokens:
        """The same, reading guarded too: where there is no read token the control token serves."""
        return AccessTokens(self._read or self._control, self._control)

    def role_for_proof(self, challenge: str, auth: str | None) -> Role | None:
        """The role that `auth` proves, or None where it proves none.

        Both comparisons are always made, each in constant time, so the time says nothing about either token.
        """
        if auth is None:
            return None if self.guards_reading else "read"
        return self._choose_role(
            self._equal_in_constant_time(compute_proof(self._read or "", challenge), auth),
            self._equal_in_constant_time(compute_proof(self._control or "", challenge), auth),
        )

    def bearer_role(self, authorization: str | None) -> Role | None:
        """The role of an HTTP request's `Authorization` header."""
        if authorization is None:
            return None if self.guards_reading else "read"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._choose_role(
            self._equal_in_constant_time(self._read or "", token.strip()),
            self._equal_in_constant_time(self._control or "", token.strip()),
        )

    def _choose_role(self, reads: bool, controls: bool) -> Role | None:
        if self._control and controls:
            return "control"
        if self._read and reads:
            return "read"
        return None if self.is_set else "read"

    @staticmethod
    def _equal_in_constant_time(ours: str, theirs: str) -> bool:
        return hmac.compare_digest(ours.encode(), theirs.encode(errors="surrogatepass"))
