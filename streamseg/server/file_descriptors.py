"""Limits the file descriptors that connections use, and raises the limit of the process.

A process without free descriptors can neither accept a connection nor open its history, start a decoder or write a
recording. So the limit is raised as far as the system allows, connections get what is left beside a reserve, and one
spare descriptor is reserved: with it a connection can be accepted and closed even when the table is full.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger(__name__)

RESERVED_DESCRIPTORS = 64  # for the history and its readers, the log, named sounds, the page's files, libraries
RESERVED_DESCRIPTORS_PER_STREAM = 8  # for a source: its file, a decoder child with its pipes, a recording
_MIN_CONNECTIONS = 16  # allowed in any case
_ASSUMED_OPEN = 64  # where the system does not list the open descriptors
_MACOS_MAX = 10_240  # macOS reports its hard limit as unlimited, and refuses more than OPEN_MAX


def increase_descriptor_limit(wanted_limit: int) -> int | None:
    """Increase the process's limit of open file descriptors to `wanted_limit` or as near as allowed; return the limit.

    Returns None where it cannot be read, or there is none (Windows, unlimited).
    """
    if sys.platform == "win32":
        return None
    try:
        import resource
    except ImportError:  # a Python built without it
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    limit = wanted_limit if hard == resource.RLIM_INFINITY else min(wanted_limit, hard)
    for candidate in (limit, min(limit, _MACOS_MAX)):
        if candidate > soft:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (candidate, hard))
                break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def count_open_descriptors() -> int:
    """Return how many file descriptors this process has open; an estimate where the system does not list them."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return sum(1 for _ in Path(folder).iterdir())
    return _ASSUMED_OPEN


def make_room_for_sockets(wanted_sockets: int, stream_count: int) -> int:
    """Increase the limit of file descriptors if needed; return how many sockets the server may have open at once.

    At most `wanted_sockets`. Fewer if the limit cannot hold them beside the descriptors that are open and a reserve for
    `stream_count` streams; this is logged, as a warning if fewer than half fit.
    """
    reserve = count_open_descriptors() + RESERVED_DESCRIPTORS + RESERVED_DESCRIPTORS_PER_STREAM * stream_count
    limit = increase_descriptor_limit(wanted_sockets + reserve)
    if limit is None or limit >= wanted_sockets + reserve:
        return wanted_sockets
    fitting = max(_MIN_CONNECTIONS, limit - reserve)
    log.log(
        logging.WARNING if fitting < wanted_sockets / 2 else logging.INFO,
        "%d connections are allowed by the settings, but this process may open only %d files: %d connections fit; "
        "raise the limit (ulimit -n, LimitNOFILE) or lower max_connections",
        wanted_sockets,
        limit,
        fitting,
    )
    return fitting


class SpareDescriptor:
    """Keeps one file descriptor in reserve, to accept and close a connection when the process has no free one."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.reserve()

    def reserve(self) -> None:
        """Open the spare descriptor (of the null device); do nothing if it is open or the process has none free."""
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def release(self) -> None:
        """Close the spare descriptor, if it is open, so that the process has one free."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
