"""Who comes in: counted from the moment a socket is open, whatever it says or does not say.

What the conversation (`protocol`) never sees must be bounded here: sockets that dawdle over their greeting, greetings
without end, pings, pongs and fragments, which cost the loop as much as messages do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from streamseg.server.allowance import Allowance
from streamseg.server.messages import CloseCode
from streamseg.settings import ServerSettings

_BESIDE = 64  # sockets for pages and greetings, beside the clients
_READ_BYTES = 1024  # looked at together: so many tiny frames are met before it is seen that they are too many
_GREETING_BYTES = 16_384  # a whole HTTP request
_FRAMES_PER_MESSAGE = 4  # fragments, pings and pongs beside the messages that are allowed
_LAST_WORD_S = 1.0


class Door:
    """Counts who stands in it."""

    def __init__(self, settings: ServerSettings) -> None:
        self._most = settings.max_connections + _BESIDE
        self._most_per_address = settings.max_connections_per_address + _BESIDE
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """One more socket, if that is not one too many."""
        if self._addresses[address] >= self._most_per_address or self._addresses.total() >= self._most:
            return False
        self._addresses[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One socket less."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


class Threshold(socket.socket):
    """A listening socket that goes by a door.

    Counting in the protocol would be too late: a TLS connection has one only after its handshake, and costs 300 KiB
    before.
    """

    door: Door

    def accept(self) -> tuple[socket.socket, Any]:
        """Called by asyncio, which tries again later after a BlockingIOError."""
        accepted, where = super().accept()
        stranger = household(where[0])
        if not self.door.enter(stranger):
            accepted.close()
            raise BlockingIOError
        counted = _Counted(self.family, self.type, self.proto, accepted.detach())
        counted.door, counted.address = self.door, stranger
        return counted, where


class _Counted(socket.socket):
    """A socket that leaves the door when it is closed."""

    door: Door
    address: str

    def close(self) -> None:
        if self.fileno() >= 0:
            self.door.leave(self.address)
        super().close()


class Visitor(ServerConnection):
    """A connection that is bounded in what it says beside its messages."""

    settings: ServerSettings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        super().connection_made(transport)
        self._shown_out = False
        settings = self.settings
        self._greeted_bytes = 0
        frames_per_s, frames = (_FRAMES_PER_MESSAGE * n for n in (settings.messages_per_s, settings.message_burst))
        self._frames = Allowance(frames_per_s, frames, self.loop.time())
        at_once = settings.message_burst * settings.max_message_bytes
        self._bytes = Allowance(settings.messages_per_s * settings.max_message_bytes, at_once, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self.request is None:
            self._greeted_bytes += len(data)
            if self._greeted_bytes > _GREETING_BYTES:
                self.transport.abort()
                return
        if not self._bytes.take(self.loop.time(), len(data)):
            self._show_out()
        for start in range(0, len(data), _READ_BYTES):
            if self._shown_out:
                return
            super().data_received(data[start : start + _READ_BYTES])

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
        else:
            super().process_event(event)

    def _show_out(self) -> None:
        """Say why, listen no longer, and cut the line."""
        if self._shown_out:
            return
        self._shown_out = True
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(CloseCode.TOO_MANY_REQUESTS, "too many frames or bytes")
            self.send_data()
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(_LAST_WORD_S, self.transport.abort)


def household(address: str) -> str:
    """What counts as one address: of IPv6 the first half, because the second is free for everybody to make up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.is_loopback:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def visitor(settings: ServerSettings) -> type[Visitor]:
    """The kind of connection that keeps to these settings."""
    return type("Visitor", (Visitor,), {"settings": settings})


async def listening(host: str, port: int, door: Door) -> list[Threshold]:
    """A bound socket for each address of the host. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    thresholds: list[Threshold] = []
    try:
        for family, kind, proto, _, where in dict.fromkeys(found):
            threshold = Threshold(family, kind, proto)
            thresholds.append(threshold)
            threshold.door = door
            threshold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                threshold.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            threshold.bind(where)
    except BaseException:
        for threshold in thresholds:
            threshold.close()
        raise
    return thresholds
