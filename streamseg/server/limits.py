"""Who comes in: counted from the moment a socket is open, whatever it says or does not say.

What the conversation (`protocol`) never sees must be bounded here: sockets that dawdle over their greeting, greetings
without end, pings, pongs and fragments, which cost the loop as much as messages do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections import Counter
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from streamseg.server.file_descriptors import SpareDescriptor
from streamseg.server.http import METHOD_REFUSED, make_refusal
from streamseg.server.rate_limiter import RateLimiter
from streamseg.server.request_head import RequestHead, RequestHeadReader
from streamseg.settings import ServerSettings
from streamseg.wire.codes import CloseCode

log = logging.getLogger(__name__)

EXTRA_SOCKETS = 64  # sockets for pages and greetings, beside the clients
_READ_BYTES = 1024  # looked at together: so many tiny frames are met before it is seen that they are too many
_MAX_REQUEST_BYTES = 16_384  # a whole HTTP request
_FRAMES_PER_MESSAGE = 4  # fragments, pings and pongs beside the messages that are allowed
_REFUSAL_TIMEOUT_S = 1.0
_LINGER_S = 2.0  # how long, and
_LINGER_BYTES = 2**22  # how much of what nobody asked for is read and thrown away, so that the answer arrives
_REPORT_INTERVAL_S = 60.0


class ConnectionCounter:
    """Counts the open sockets, in all and by address, and admits no more than the settings allow."""

    def __init__(self, settings: ServerSettings, most: int | None = None) -> None:
        """most: sockets that may be open at once; by default, as many as the settings allow."""
        self.spare_descriptor = SpareDescriptor()
        self._max_sockets = most or settings.max_connections + EXTRA_SOCKETS
        self._max_sockets_per_address = settings.max_connections_per_address + EXTRA_SOCKETS
        self._addresses: Counter[str] = Counter()
        self._open = 0
        self._turned_away = 0
        self._tell_at = 0.0

    def admit(self, address: str) -> bool:
        """One more socket, if that is not one too many."""
        if self._open >= self._max_sockets:
            self.report_full(f"{self._open} sockets are open, more are not allowed")
            return False
        if self._addresses[address] >= self._max_sockets_per_address:
            return False
        self._open += 1
        self._addresses[address] += 1
        return True

    def release(self, address: str) -> None:
        """One socket less."""
        self._open -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def close(self) -> None:
        """Nobody comes in any more."""
        self.spare_descriptor.release()

    def report_full(self, why: str) -> None:
        """Count a connection that was turned away; at most one line a minute says so."""
        self._turned_away += 1
        now = time.monotonic()
        if now >= self._tell_at:
            log.warning("no room for another connection: %s; %d turned away", why, self._turned_away)
            self._tell_at, self._turned_away = now + _REPORT_INTERVAL_S, 0


class LimitedConnection(ServerConnection):
    """A connection that is bounded in what it says beside its messages."""

    settings: ServerSettings
    counter: ConnectionCounter | None = None  # None where connections are counted when they are accepted
    _counted_address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        super().connection_made(transport)
        self._is_refused = False
        if self.counter is not None:
            peer = transport.get_extra_info("peername")
            address = address_group(peer[0]) if peer else ""
            if self.counter.admit(address):
                self._counted_address = address
            else:
                self._is_refused = True
                self.transport.abort()
        settings = self.settings
        self._greeting: RequestHeadReader | None = RequestHeadReader()  # until the head of the request is whole
        self._discarded_bytes: int | None = None  # None while what comes is still looked at
        frames_per_s, frames = (_FRAMES_PER_MESSAGE * n for n in (settings.messages_per_s, settings.message_burst))
        self._frame_limiter = RateLimiter(frames_per_s, frames, self.loop.time())
        at_once = settings.message_burst * settings.max_message_bytes
        self._byte_limiter = RateLimiter(
            settings.messages_per_s * settings.max_message_bytes, at_once, self.loop.time()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self.counter is not None and self._counted_address is not None:
            self.counter.release(self._counted_address)
            self._counted_address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._discarded_bytes is not None:
            self._discard(len(data))
            return
        if self._greeting is not None:
            head = self._greeting.push(data)
            if (self._greeting.size if head is None else len(head.head)) > _MAX_REQUEST_BYTES:
                self.transport.abort()
                return
            if head is None:
                return
            self._greeting = None
            data = self._read_head(head)
        if not self._byte_limiter.allow(self.loop.time(), len(data)):
            self._refuse()
        for start in range(0, len(data), _READ_BYTES):
            if self._is_refused:
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
            self._end_answer()

    def process_event(self, event: Any) -> None:
        """Called by `websockets` for the request, then for every frame."""
        if self.request is not None and not self._frame_limiter.allow(self.loop.time()):
            self._refuse()
        else:
            super().process_event(event)

    def _read_head(self, head: RequestHead) -> bytes:
        """What of a client's first bytes `websockets` shall read; a request with a body is answered here."""
        if head.has_body:
            self._discarded_bytes = 0
            body = make_refusal(
                HTTPStatus.BAD_REQUEST, "a request with a body is not understood here; send GET without one"
            )
            answer = body if head.method in ("GET", "HEAD") else METHOD_REFUSED
            self.transport.write(answer.serialize())
            self._end_answer()
            self._discard(len(head.rest))
            return b""
        if head.upgrades:
            return head.head + head.rest
        if head.rest:
            self._discarded_bytes = 0
            self._discard(len(head.rest))
        return head.head

    def _end_answer(self) -> None:
        """Nothing more is said. What still comes is read for a while: unread, it would take the answer with it."""
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError):
                self.transport.write_eof()
        elif self._discarded_bytes is None:
            self.transport.close()
        if self._discarded_bytes is not None:
            self.loop.call_later(_LINGER_S, self.transport.abort)

    def _discard(self, n: int) -> None:
        """Read no further than a bound."""
        assert self._discarded_bytes is not None  # noqa: S101  set before the first call
        self._discarded_bytes += n
        if self._discarded_bytes > _LINGER_BYTES:
            self.transport.abort()

    def _refuse(self) -> None:
        """Say why, listen no longer, and cut the line."""
        if self._is_refused:
            return
        self._is_refused = True
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(CloseCode.TOO_MANY_REQUESTS, "too many frames or bytes")
            self.send_data()
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(_REFUSAL_TIMEOUT_S, self.transport.abort)


def address_group(address: str) -> str:
    """What counts as one address: of IPv6 the first half, because the second is free for everybody to make up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.is_loopback:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def limited_connection_class(
    settings: ServerSettings, counter: ConnectionCounter | None = None
) -> type[LimitedConnection]:
    """The kind of connection that keeps to these settings. counter: given where connections must count themselves."""
    return type("LimitedConnection", (LimitedConnection,), {"settings": settings, "counter": counter})
