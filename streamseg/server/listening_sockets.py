"""Listening sockets that count connections as they are accepted, before TLS or a protocol spends memory on them."""

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

from streamseg.server.limits import ConnectionCounter, address_group

_MAX_REFUSALS_PER_ACCEPT = 64
_PAUSE_S = 0.5  # shorter than asyncio's rest, longer than a round of its loop
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LimitedListener(socket.socket):
    """A listening socket that admits connections by a counter.

    Counting in the protocol would be too late: a TLS connection has one only after its handshake, and costs 300 KiB
    before. It is done there nevertheless where `counts_connections` says that this `accept` is not called.
    """

    counter: ConnectionCounter
    _paused_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Called by asyncio, which tries again later after a BlockingIOError."""
        for _ in range(_MAX_REFUSALS_PER_ACCEPT):
            try:
                accepted, where = super().accept()
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    raise
                self._refuse(error)
                break  # asyncio would log a traceback for each try, a hundred at once
            stranger = address_group(where[0])
            if self.counter.admit(stranger):
                counted = _CountedSocket(self.family, self.type, self.proto, accepted.detach())
                counted.counter, counted.address = self.counter, stranger
                return counted, where
            accepted.close()
        raise BlockingIOError

    def _refuse(self, error: OSError) -> None:
        """Accept with the spare descriptor and hang up: left in the queue, it would wake the loop again and again."""
        self.counter.report_full(error.strerror or str(error))
        self.counter.spare_descriptor.release()
        try:
            accepted, _ = super().accept()
            accepted.close()
        except BlockingIOError:
            pass  # it has hung up meanwhile
        except OSError:
            now = time.monotonic()
            if now >= self._paused_until:
                self._paused_until = now + _PAUSE_S
                raise error from None  # asyncio looks for connections again after a second
        finally:
            self.counter.spare_descriptor.reserve()


@contextlib.contextmanager
def without_accept_tracebacks() -> Iterator[None]:
    """Keep asyncio from logging a traceback for a full table of descriptors: the counter has said so in one line."""

    def wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("socket.accept() out of system resource")

    logger = logging.getLogger("asyncio")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


class _CountedSocket(socket.socket):
    """A socket that tells the counter when it is closed."""

    counter: ConnectionCounter
    address: str

    def close(self) -> None:
        if self.fileno() >= 0:
            self.counter.release(self.address)
        super().close()


def count_connections(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop accepts connections by `LimitedListener.accept`, which counts them.

    On Windows the usual loop has the system accept them instead.
    """
    return sys.platform != "win32" or not isinstance(loop, asyncio.ProactorEventLoop)


async def bind_listeners(host: str, port: int, counter: ConnectionCounter) -> list[LimitedListener]:
    """A bound socket for each address of the host. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    thresholds: list[LimitedListener] = []
    try:
        for family, kind, proto, _, where in dict.fromkeys(found):
            threshold = LimitedListener(family, kind, proto)
            thresholds.append(threshold)
            threshold.counter = counter
            if sys.platform == "win32":  # there SO_REUSEADDR would let any program take over a port that is in use
                threshold.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                threshold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                threshold.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            threshold.bind(where)
    except BaseException:
        for threshold in thresholds:
            threshold.close()
        raise
    return thresholds
