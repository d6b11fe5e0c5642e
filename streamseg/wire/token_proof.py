"""Proves that a client knows a token without sending it: HMAC-SHA256 of the server's challenge."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def make_challenge() -> str:
    """Make a new random challenge for one connection: 256 bits in hex."""
    return secrets.token_hex(32)


def compute_proof(token: str, challenge: str) -> str:
    """Compute the proof that a client sends as `auth`: HMAC-SHA256 of the challenge with the token as key, in hex."""
    return hmac.new(token.encode(), challenge.encode(), hashlib.sha256).hexdigest()
