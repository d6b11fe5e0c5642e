"""Limits how many connections are open, and how many bytes and frames each may send.

`ServerProtocol` sees whole messages only. What it never sees is bounded here: sockets that send their request slowly or
without end, and pings, pongs and fragments, which need as much computing time as messages.
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

EXTRA_SOCKETS = 64  # sockets for HTTP requests and handshakes, beside those of clients
_READ_BYTES = 1024  # parsed at a time: bounds the tiny frames that are parsed before their number is checked
_MAX_REQUEST_BYTES = 16_384  # a whole HTTP request
_FRAMES_PER_MESSAGE = 4  # allowed frames for each allowed message: fragments, pings and pongs count too
_REFUSAL_TIMEOUT_S = 1.0
_LINGER_S = 2.0  # how long, and
_LINGER_BYTES = 2**22  # how many unwanted bytes are read and discarded, so that the client gets the answer
_REPORT_INTERVAL_S = 60.0


class ConnectionLimiter:
    """Counts the open sockets, in total and for each client address, and refuses those above the limits."""

    def __init__(self, settings: ServerSettings, max_sockets: int | None = None) -> None:
        """max_sockets: how many may be open at the same time; None: as many as the settings allow."""
        self.spare_descriptor = SpareDescriptor()
        self._max_sockets = max_sockets or settings.max_connections + EXTRA_SOCKETS
        self._max_sockets_per_address = settings.max_connections_per_address + EXTRA_SOCKETS
        self._sockets_by_address: Counter[str] = Counter()
        self._open_sockets = 0
        self._refused_count = 0
        self._next_report_at = 0.0

    def admit_socket(self, address: str) -> bool:
        """Count a new socket of `address` and return True; if a limit is reached, do not count it and return False."""
        if self._open_sockets >= self._max_sockets:
            self.count_and_log_refusal(f"{self._open_sockets} sockets are open, more are not allowed")
            return False
        if self._sockets_by_address[address] >= self._max_sockets_per_address:
            return False
        self._open_sockets += 1
        self._sockets_by_address[address] += 1
        return True

    def release_socket(self, address: str) -> None:
        """Count one open socket of `address` less, because it was closed."""
        self._open_sockets -= 1
        self._sockets_by_address[address] -= 1
        if not self._sockets_by_address[address]:
            del self._sockets_by_address[address]

    def close_spare_descriptor(self) -> None:
        """Close the file descriptor kept in reserve. Called once, after the server is closed."""
        self.spare_descriptor.release()

    def count_and_log_refusal(self, why: str) -> None:
        """Count a refused connection; log the reason `why` and the count, at most once a minute."""
        self._refused_count += 1
        now = time.monotonic()
        if now >= self._next_report_at:
            log.warning("no room for another connection: %s; %d turned away", why, self._refused_count)
            self._next_report_at, self._refused_count = now + _REPORT_INTERVAL_S, 0


class LimitedConnection(ServerConnection):
    """A WebSocket connection that closes itself when the client sends too many bytes or frames.

    Its methods are called by asyncio and by `websockets`. Make a class by `make_limited_connection_class`.
    """

    settings: ServerSettings
    limiter: ConnectionLimiter | None = None  # None where connections are counted as they are accepted
    _counted_address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count a new connection and start its rate limits; abort the connection if too many are open.

        Called by asyncio.
        """
        super().connection_made(transport)
        self._is_refused = False
        if self.limiter is not None:
            peer = transport.get_extra_info("peername")
            address = address_group(peer[0]) if peer else ""
            if self.limiter.admit_socket(address):
                self._counted_address = address
            else:
                self._is_refused = True
                self.transport.abort()
        settings = self.settings
        self._head_reader: RequestHeadReader | None = RequestHeadReader()  # until the head of the request is complete
        self._discarded_bytes: int | None = None  # None while bytes are not discarded
        frames_per_s, frames = (_FRAMES_PER_MESSAGE * n for n in (settings.messages_per_s, settings.message_burst))
        self._frame_limiter = RateLimiter(frames_per_s, frames, self.loop.time())
        burst_bytes = settings.message_burst * settings.max_message_bytes
        self._byte_limiter = RateLimiter(
            settings.messages_per_s * settings.max_message_bytes, burst_bytes, self.loop.time()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Count one open connection less. exc: why it was lost, None at a normal end. Called by asyncio."""
        if self.limiter is not None and self._counted_address is not None:
            self.limiter.release_socket(self._counted_address)
            self._counted_address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes that the client sent to `websockets`, as long as the limits allow. Called by asyncio."""
        if self._discarded_bytes is not None:
            self._count_discarded(len(data))
            return
        if self._head_reader is not None:
            head = self._head_reader.add_bytes(data)
            if (self._head_reader.size if head is None else len(head.head)) > _MAX_REQUEST_BYTES:
                self.transport.abort()
                return
            if head is None:
                return
            self._head_reader = None
            data = self._read_head(head)
        if not self._byte_limiter.spend_or_overdraw(self.loop.time(), len(data)):
            self._refuse()
        for start in range(0, len(data), _READ_BYTES):
            if self._is_refused:
                return
            super().data_received(data[start : start + _READ_BYTES])

    def send_data(self) -> None:
        """Send all pending bytes to the client in one write. Called by `websockets`.

        Its own method would write each answer by itself.
        """
        pieces = self.protocol.data_to_send()
        if self.transport.is_closing():
            return
        if data := b"".join(pieces):
            self.transport.write(data)
        if b"" in pieces:  # marks the end of the data
            self._end_answer()

    def process_event(self, event: Any) -> None:
        """Process the HTTP request or one frame; close the connection on too many frames. Called by `websockets`."""
        if self.request is not None and not self._frame_limiter.spend_or_overdraw(self.loop.time()):
            self._refuse()
        else:
            super().process_event(event)

    def _read_head(self, head: RequestHead) -> bytes:
        """Return the part of a client's first bytes that `websockets` shall read; answer a request with a body here."""
        if head.has_body:
            self._discarded_bytes = 0
            body = make_refusal(
                HTTPStatus.BAD_REQUEST, "a request with a body is not understood here; send GET without one"
            )
            answer = body if head.method in ("GET", "HEAD") else METHOD_REFUSED
            self.transport.write(answer.serialize())
            self._end_answer()
            self._count_discarded(len(head.rest))
            return b""
        if head.upgrades:
            return head.head + head.rest
        if head.rest:
            self._discarded_bytes = 0
            self._count_discarded(len(head.rest))
        return head.head

    def _end_answer(self) -> None:
        """Send the end of the answer. What still arrives is read for a while: unread, it would discard the answer."""
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError):
                self.transport.write_eof()
        elif self._discarded_bytes is None:
            self.transport.close()
        if self._discarded_bytes is not None:
            self.loop.call_later(_LINGER_S, self.transport.abort)

    def _count_discarded(self, n: int) -> None:
        """Count discarded bytes, and abort the connection beyond a bound."""
        assert self._discarded_bytes is not None  # noqa: S101  set before the first call
        self._discarded_bytes += n
        if self._discarded_bytes > _LINGER_BYTES:
            self.transport.abort()

    def _refuse(self) -> None:
        """Send a close frame, stop reading, and abort the connection soon after."""
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
    """Return the key by which the limits count a client: its IPv4 address, or the /64 network of its IPv6 address.

    Any host can make up the second half of an IPv6 address.
    """
    try:
        ip_address = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip_address, ipaddress.IPv4Address) or ip_address.is_loopback:
        return address
    return str(ip_address.ipv4_mapped or ipaddress.IPv6Network((int(ip_address) >> 64 << 64, 64)))


def make_limited_connection_class(
    settings: ServerSettings, limiter: ConnectionLimiter | None = None
) -> type[LimitedConnection]:
    """Return a subclass of `LimitedConnection` with these settings, for `websockets.serve(create_connection=…)`.

    limiter: counts the connections; None if their listening socket counts them.
    """
    return type("LimitedConnection", (LimitedConnection,), {"settings": settings, "limiter": limiter})
