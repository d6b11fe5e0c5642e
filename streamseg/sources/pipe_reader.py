"""Reads a pipe so that another thread can stop the reading, also while no data arrive.

POSIX systems can wait for a pipe with a time limit (`select`). On Windows `select` accepts only sockets, and a read
that has started cannot be interrupted: there a daemon thread reads, and stays blocked after reading was stopped.
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
_MAX_QUEUED_READS: Final = 4  # the thread reads this many pieces ahead
_CLOSE_CHECK_INTERVAL_S: Final = 0.1


def read_pipe(descriptor: int, close_event: threading.Event) -> Iterator[bytes]:
    """Yield the data of a pipe as they arrive, until the pipe ends or `close_event` is set.

    descriptor: a file descriptor, which stays open. Each item has 1 to 262,144 bytes. Raises OSError.
    """
    try:
        select.select([descriptor], [], [], 0)
    except (OSError, ValueError):  # Windows: not a socket; elsewhere: a number too large for `select`
        return _read_in_thread(descriptor, close_event)
    return _read_when_ready(descriptor, close_event)


def _read_when_ready(descriptor: int, close_event: threading.Event) -> Iterator[bytes]:
    while not close_event.is_set():
        if not select.select([descriptor], [], [], _CLOSE_CHECK_INTERVAL_S)[0]:
            continue
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            return
        yield data


def _read_in_thread(descriptor: int, close_event: threading.Event) -> Iterator[bytes]:
    reads: queue.Queue[bytes | OSError] = queue.Queue(_MAX_QUEUED_READS)

    def put_item(item: bytes | OSError) -> None:
        while not close_event.is_set():
            with contextlib.suppress(queue.Full):
                reads.put(item, timeout=_CLOSE_CHECK_INTERVAL_S)
                return

    def read_all() -> None:
        try:
            while data := os.read(descriptor, _READ_BYTES):
                put_item(data)
                if close_event.is_set():
                    return
            put_item(b"")
        except OSError as error:
            put_item(error)

    threading.Thread(target=read_all, name="read pipe", daemon=True).start()
    while not close_event.is_set():
        try:
            item = reads.get(timeout=_CLOSE_CHECK_INTERVAL_S)
        except queue.Empty:
            continue
        if isinstance(item, OSError):
            raise item
        if not item:
            return
        yield item
