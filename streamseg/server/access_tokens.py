"""Checks tokens and returns the role that a client gets: reading only, or control too.

A client proves that it knows a token without sending it: `auth` is the hex HMAC-SHA256 of the server's challenge
under the token. HTTP, which has no challenge, takes the token itself as `Authorization: Bearer`.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging

from streamseg.errors import UsageError
from streamseg.wire.messages import Role
from streamseg.wire.token_proof import compute_proof

_MIN_TOKEN_LENGTH = 16  # characters

log = logging.getLogger(__name__)


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
    def is_token_needed_to_read(self) -> bool:
        """Whether a client needs a token to read."""
        return bool(self._read)

    @property
    def shortest_token_length(self) -> int:
        """The length of the shortest token, in characters; 0 if the server has no token."""
        return min((len(token) for token in (self._read, self._control) if token), default=0)

    def with_control_token_for_reading(self) -> AccessTokens:
        """Return a copy that requires a token for reading: the read token or, without one, the control token."""
        return AccessTokens(self._read or self._control, self._control)

    def role_for_proof(self, challenge: str, auth: str | None) -> Role | None:
        """Return the role (read or control) of a WebSocket client by its proof of a token; None if it must be refused.

        challenge: sent to this client in `hello`. auth: the client's proof of a token, None where it sent none.
        Without a proof the role is "read", unless reading needs a token.

        Both comparisons are always made, each in constant time, so the time tells nothing about either token.
        """
        if auth is None:
            return None if self.is_token_needed_to_read else "read"
        return self._choose_role(
            self._equal_in_constant_time(compute_proof(self._read or "", challenge), auth),
            self._equal_in_constant_time(compute_proof(self._control or "", challenge), auth),
        )

    def role_for_bearer(self, authorization: str | None) -> Role | None:
        """Return the role (read or control) of an HTTP client by the token that it sent; None if it must be refused.

        authorization: the `Authorization` header, `Bearer TOKEN`; None where the request has none: then the role
        is "read", unless reading needs a token.
        """
        if authorization is None:
            return None if self.is_token_needed_to_read else "read"
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


def make_tokens_for_address(
    host: str, read_token: str | None, control_token: str | None, *, is_encrypted: bool
) -> AccessTokens:
    """Make the tokens of a server that listens on `host`; raise UsageError if the address would be open to everybody.

    Where it can be reached from outside, a token is needed to read too. is_encrypted: whether the server uses TLS, or
    its user has accepted that it does not.
    """
    tokens = AccessTokens(read_token, control_token)
    if _is_loopback(host):
        return tokens
    if not tokens.has_any_token:
        raise UsageError(f"{host} can be reached from outside and needs a token; 127.0.0.1 needs none")
    if not is_encrypted:
        raise UsageError(f"{host} can be reached from outside and needs TLS (certificate and key), or --insecure")
    if tokens.shortest_token_length < _MIN_TOKEN_LENGTH:
        log.warning("a token of fewer than %d characters is easy to guess", _MIN_TOKEN_LENGTH)
    return tokens.with_control_token_for_reading()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
