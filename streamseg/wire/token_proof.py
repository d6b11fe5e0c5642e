"""The proof that a client knows a token: HMAC-SHA256 of the server's challenge."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def make_challenge() -> str:
    """Make a new challenge: 256 random bits in hex."""
    return secrets.token_hex(32)


def compute_proof(token: str, challenge: str) -> str:
    """Compute the proof that answers `challenge`: HMAC-SHA256 with the token as its key, in hex."""
    return hmac.new(token.encode(), challenge.encode(), hashlib.sha256).hexdigest()
