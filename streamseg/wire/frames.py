"""Encodes the server's messages: as JSON, and as WebSocket frames.

The frames of a server carry no mask and compression is off, so a frame is made once and sent to every client.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def encode_message(op: str, d: Any) -> bytes:
    """Encode one message of the protocol, `{"op": op, "d": d}`, as JSON. d: its content, a struct or a dict."""
    return _encoder.encode({"op": op, "d": d})


def encode_event_message(envelope_json: bytes, *, is_recorded: bool = True) -> bytes:
    """Return the JSON text of an `event` message for an envelope; `is_recorded=False` marks it as not in the history.

    envelope_json: as `encode_envelope` returns it.
    """
    marker = b"" if is_recorded else b'"kept":false,'
    return b'{"op":"event",' + marker + b'"d":' + envelope_json + b"}"


def make_text_frame(text: bytes) -> bytes:
    """Return a message, UTF-8, as the bytes of one WebSocket text frame, unfragmented and unmasked (RFC 6455 §5.2)."""
    n = len(text)
    if n < 126:
        return bytes((0x81, n)) + text
    if n < 65_536:
        return b"\x81\x7e" + n.to_bytes(2, "big") + text
    return b"\x81\x7f" + n.to_bytes(8, "big") + text
