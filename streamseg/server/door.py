"""Who comes in: counted from the moment a socket is open, whatever it says or does not say.

What the conversation (`protocol`) never sees must be bounded here: sockets that dawdle over their greeting, greetings
without end, pings, pongs and fragments, which cost the loop as much as messages do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from streamseg.server.allowance import Allowance
from streamseg.server.messages import CloseCode
from streamseg.settings import ServerSettings

_BESIDE = 64  # sockets for pages and greetings, beside the clients
_READ_BYTES = 1024  # read at once: as many tiny frames as fit into it are met before anybody else has a turn
_GREETING_BYTES = 16_384  # a whole HTTP request
_FRAMES_PER_MESSAGE = 4  # fragments, pings and pongs beside the messages that are allowed
_LAST_WORD_S = 1.0


class Door:
    """Counts who stands in it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._most = settings.max_connections + _BESIDE
        self._most_per_address = settings.max_connections_per_address + _BESIDE
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """One more socket; false when it is one too many."""
        self._addresses[address] += 1
        return self._addresses[address] <= self._most_per_address and self._addresses.total() <= self._most

    def leave(self, address: str) -> None:
        """One socket less."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


class Visitor(ServerConnection):
    """A connection that is counted before it has said a word, and bounded in what it says beside its messages."""

    door: Door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        super().connection_made(transport)
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        settings = self.door.settings
        self._from = address(self)
        self._greeted_bytes = 0
        frames_per_s, frames = (_FRAMES_PER_MESSAGE * n for n in (settings.messages_per_s, settings.message_burst))
        self._frames = Allowance(frames_per_s, frames, self.loop.time())
        at_once = settings.message_burst * settings.max_message_bytes
        self._bytes = Allowance(settings.messages_per_s * settings.max_message_bytes, at_once, self.loop.time())
        if not self.door.enter(self._from):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self.request is None:
            self._greeted_bytes += len(data)
            if self._greeted_bytes > _GREETING_BYTES:
                self.transport.abort()
                return
        if not self._bytes.take(self.loop.time(), len(data)):
            self._show_out()
            return
        super().data_received(data)

    def send_data(self) -> None:
        """Called by `websockets`: the answers to all that was read, in one write instead of one for each."""
        pieces = self.protocol.data_to_send()
        if self.transport.is_closing():
            return
        if written := b"".join(pieces):
            self.transport.write(written)
        if b"" in pieces:  # its sign for the end
            if self.transport.can_write_eof():
                with contextlib.suppress(OSError):
                    self.transport.write_eof()
            else:
                self.transport.close()

    def process_event(self, event: Any) -> None:
        """Called by `websockets` for the request, then for every frame."""
        if self.request is not None and not self._frames.take(self.loop.time()):
            self._show_out()
            return
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.door.leave(self._from)
        super().connection_lost(exc)

    def _show_out(self) -> None:
        """Say why, listen no longer, and cut the line."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(CloseCode.TOO_MANY_REQUESTS, "too many frames or bytes")
            self.send_data()
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(_LAST_WORD_S, self.transport.abort)


def address(connection: ServerConnection) -> str:
    """Where a connection comes from; empty when that is not known any more."""
    remote = connection.remote_address
    return str(remote[0]) if remote else ""
