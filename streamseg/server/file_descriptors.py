"""File descriptors: how many the process may open, and how many of them connections may use.

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


def raise_descriptor_limit(wanted_limit: int) -> int | None:
    """Raise the soft limit of open descriptors to `wanted_limit` or as near as the system allows.

    Returns the limit now; None where it cannot be read or there is none (Windows, unlimited).
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
    """Count the descriptors that the process has open; an estimate where the system does not list them."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return sum(1 for _ in Path(folder).iterdir())
    return _ASSUMED_OPEN


def limit_connections(wanted_sockets: int, streams: int) -> int:
    """Return how many of `wanted_sockets` may be open at once, beside a reserve for so many streams.

    Raises the process's limit where that helps. Where fewer fit than are wanted, it logs that: as a warning where fewer
    than half fit.
    """
    reserve = count_open_descriptors() + RESERVED_DESCRIPTORS + RESERVED_DESCRIPTORS_PER_STREAM * streams
    limit = raise_descriptor_limit(wanted_sockets + reserve)
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
    """One reserved descriptor. Released for a moment, it lets a full process accept a connection to close it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.reserve()

    def reserve(self) -> None:
        """Reserve a descriptor, where one is free."""
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def release(self) -> None:
        """Free the descriptor, if one is reserved."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
