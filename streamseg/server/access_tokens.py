"""Checks tokens and returns the role that a client gets: reading only, or control too.

A client proves that it knows a token without sending it: `auth` is the hex HMAC-SHA256 of the server's challenge
under the token. HTTP, which has no challenge, takes the token itself as `Authorization: Bearer`.
"""

from __future__ import annotations

import hmac

from streamseg.wire.messages import Role
from streamseg.wire.token_proof import compute_proof


class AccessTokens:
    """The read token and the control token of one server. Without a read token, every client may read."""

    def __init__(self, read: str | None = None, control: str | None = None) -> None:
        self._read = read
        self._control = control

    def __repr__(self) -> str:  # a token must not reach a log
        return f"AccessTokens(read={'set' if self._read else None}, control={'set' if self._control else None})"

    @property
    def has_any_token(self) -> bool:
        """Whether the server has a read token, a control token or both."""
        return bool(self._read or self._control)

    @property
    def has_control_token(self) -> bool:
        """Whether the server has a control token; without one nobody can control it."""
        return bool(self._control)

    @property
    def protects_reading(self) -> bool:
        """Whether a client needs a token to read."""
        return bool(self._read)

    @property
    def shortest_length(self) -> int:
        """The length of the shortest token, in characters; 0 where the server has none."""
        return min((len(token) for token in (self._read, self._control) if token), default=0)

    def with_control_token_for_reading(self) -> AccessTokens:
        """Return a copy that requires a token for reading: the read token or, without one, the control token."""
        return AccessTokens(self._read or self._control, self._control)

    def role_for_proof(self, challenge: str, auth: str | None) -> Role | None:
        """Check a WebSocket client's proof of a token; return the client's role, or None if the client must be refused.

        challenge: sent to this client in `hello`. auth: the client's proof of a token, None where it sent none.
        Without a proof the role is "read", unless reading needs a token.

        Both comparisons are always made, each in constant time, so the time tells nothing about either token.
        """
        if auth is None:
            return None if self.protects_reading else "read"
        return self._choose_role(
            self._equal_in_constant_time(compute_proof(self._read or "", challenge), auth),
            self._equal_in_constant_time(compute_proof(self._control or "", challenge), auth),
        )

    def role_for_bearer(self, authorization: str | None) -> Role | None:
        """Check the token of an HTTP request; return the client's role, or None if the request must be refused.

        authorization: the `Authorization` header, `Bearer TOKEN`; None where the request has none: then the role
        is "read", unless reading needs a token.
        """
        if authorization is None:
            return None if self.protects_reading else "read"
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self._choose_role(
            self._equal_in_constant_time(self._read or "", token.strip()),
            self._equal_in_constant_time(self._control or "", token.strip()),
        )

    def _choose_role(self, matches_read: bool, matches_control: bool) -> Role | None:
        if self._control and matches_control:
            return "control"
        if self._read and matches_read:
            return "read"
        return None if self.has_any_token else "read"

    @staticmethod
    def _equal_in_constant_time(ours: str, theirs: str) -> bool:
        return hmac.compare_digest(ours.encode(), theirs.encode(errors="surrogatepass"))
