"""Reads a pipe as data arrives, and stops when told to, although no more data arrives.

POSIX systems can wait for a pipe and a time limit together (`select`). On Windows `select` takes sockets only, and a
read that has begun cannot be interrupted: there a daemon thread reads, and is left behind when the reading is stopped.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from collections.abc import Iterator
from typing import Final

_READ_BYTES: Final = 1 << 18
_MAX_QUEUED_READS: Final = 4  # reads of the thread that may wait to be used
_CLOSE_CHECK_INTERVAL_S: Final = 0.1


def read_pipe(descriptor: int, closed: threading.Event) -> Iterator[bytes]:
    """Yield what arrives, in pieces of 1 to 262,144 bytes, until the end of the data or until `closed` is set.

    Raises OSError.
    """
    try:
        select.select([descriptor], [], [], 0)
    except (OSError, ValueError):  # no socket on Windows; a number too large for `select` elsewhere
        return _read_in_thread(descriptor, closed)
    return _read_when_ready(descriptor, closed)


def _read_when_ready(descriptor: int, closed: threading.Event) -> Iterator[bytes]:
    while not closed.is_set():
        if not select.select([descriptor], [], [], _CLOSE_CHECK_INTERVAL_S)[0]:
            continue
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            return
        yield data


def _read_in_thread(descriptor: int, closed: threading.Event) -> Iterator[bytes]:
    reads: queue.Queue[bytes | OSError] = queue.Queue(_MAX_QUEUED_READS)

    def put(item: bytes | OSError) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                reads.put(item, timeout=_CLOSE_CHECK_INTERVAL_S)
                return

    def read() -> None:
        try:
            while data := os.read(descriptor, _READ_BYTES):
                put(data)
                if closed.is_set():
                    return
            put(b"")
        except OSError as error:
            put(error)

    threading.Thread(target=read, name="read pipe", daemon=True).start()
    while not closed.is_set():
        try:
            item = reads.get(timeout=_CLOSE_CHECK_INTERVAL_S)
        except queue.Empty:
            continue
        if isinstance(item, OSError):
            raise item
        if not item:
            return
        yield item
