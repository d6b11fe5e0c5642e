"""Messages as bytes: JSON text, and the WebSocket frame around it, made once and shared by all who get it."""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def encode_message(op: str, d: Any) -> bytes:
    """The JSON text of one message."""
    return _encoder.encode({"op": op, "d": d})


def encode_event_message(envelope_json: bytes, *, is_recorded: bool = True) -> bytes:
    """An event's message around its already encoded envelope, which stays as it is; `kept` stands beside it."""
    mark = b"" if is_recorded else b'"kept":false,'
    return b'{"op":"event",' + mark + b'"d":' + envelope_json + b"}"


def make_text_frame(text: bytes) -> bytes:
    """One unfragmented, unmasked WebSocket text frame (RFC 6455 §5.2)."""
    n = len(text)
    if n < 126:
        return bytes((0x81, n)) + text
    if n < 65_536:
        return b"\x81\x7e" + n.to_bytes(2, "big") + text
    return b"\x81\x7f" + n.to_bytes(8, "big") + text
