"""Listening sockets that count connections as they are accepted, before TLS or a protocol uses memory for them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from streamseg.server.limits import ConnectionLimiter, address_group

_MAX_REFUSALS_PER_ACCEPT = 64
_PAUSE_S = 0.5  # shorter than asyncio's pause, longer than one iteration of its loop
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LimitedListener(socket.socket):
    """A listening socket that closes each new connection that its `ConnectionLimiter` refuses.

    Counting them in the protocol would be too late: a TLS connection has one only after its handshake, and needs
    300 KiB before. It is done there nevertheless where asyncio does not call this `accept`: see
    `loop_calls_accept`.
    """

    limiter: ConnectionLimiter
    _paused_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that the limiter admits; close refused ones; raise BlockingIOError if none waits.

        Called by asyncio.
        """
        for _ in range(_MAX_REFUSALS_PER_ACCEPT):
            try:
                connection, peer = super().accept()
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    raise
                self._refuse_connection(error)
                break  # asyncio would log a traceback for each attempt, a hundred at once
            address = address_group(peer[0])
            if self.limiter.admit_socket(address):
                counted_socket = _CountedSocket(self.family, self.type, self.proto, connection.detach())
                counted_socket.limiter, counted_socket.address = self.limiter, address
                return counted_socket, peer
            connection.close()
        raise BlockingIOError

    def _refuse_connection(self, error: OSError) -> None:
        """Accept a connection with the spare descriptor, and close it: in the queue it would keep the loop busy."""
        self.limiter.count_and_log_refusal(error.strerror or str(error))
        self.limiter.spare_descriptor.release()
        try:
            connection, _ = super().accept()
            connection.close()
        except BlockingIOError:
            pass  # the client has hung up in the meantime
        except OSError:
            now = time.monotonic()
            if now >= self._paused_until:
                self._paused_until = now + _PAUSE_S
                raise error from None  # asyncio accepts again after a second
        finally:
            self.limiter.spare_descriptor.reserve()


@contextlib.contextmanager
def suppress_accept_tracebacks() -> Iterator[None]:
    """In the `with` block, hide asyncio's tracebacks about connections that cannot be accepted.

    The limiter logs them in one line.
    """

    def is_other_message(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("socket.accept() out of system resource")

    logger = logging.getLogger("asyncio")
    logger.addFilter(is_other_message)
    try:
        yield
    finally:
        logger.removeFilter(is_other_message)


class _CountedSocket(socket.socket):
    """An accepted socket that counts as open until it is closed."""

    limiter: ConnectionLimiter
    address: str

    def close(self) -> None:
        if self.fileno() >= 0:
            self.limiter.release_socket(self.address)
        super().close()


def loop_calls_accept(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this event loop accepts connections through `LimitedListener.accept`, which counts them.

    False for the default loop on Windows, which lets the system accept them.
    """
    return sys.platform != "win32" or not isinstance(loop, asyncio.ProactorEventLoop)


async def bind_listeners(host: str, port: int, limiter: ConnectionLimiter) -> list[LimitedListener]:
    """Return a socket for each address of the host, bound to the port but not listening; raise OSError on failure."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[LimitedListener] = []
    try:
        for family, kind, proto, _, address in dict.fromkeys(addresses):
            listener = LimitedListener(family, kind, proto)
            listeners.append(listener)
            listener.limiter = limiter
            if sys.platform == "win32":  # where SO_REUSEADDR lets any program take over a port in use
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners
