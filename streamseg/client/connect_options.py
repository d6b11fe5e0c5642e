"""The options with which clients open a WebSocket, with asyncio or without."""

from __future__ import annotations

from typing import Any

from websockets.typing import Subprotocol

from streamseg.wire.messages import SUBPROTOCOL

_MAX_MESSAGE_BYTES = 16 * 2**20  # snapshots and histories are long

CONNECT_OPTIONS: dict[str, Any] = {
    "subprotocols": [Subprotocol(SUBPROTOCOL)],
    "compression": None,
    "max_size": _MAX_MESSAGE_BYTES,
    "proxy": None,
}
