"""The proof that a client knows a token: HMAC-SHA256 of the server's challenge."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def make_challenge() -> str:
    """A fresh challenge: 256 random bits, hex."""
    return secrets.token_hex(32)


def compute_proof(token: str, challenge: str) -> str:
    """What a client that knows `token` says to `challenge`."""
    return hmac.new(token.encode(), challenge.encode(), hashlib.sha256).hexdigest()
