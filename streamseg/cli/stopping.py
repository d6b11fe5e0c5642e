"""Ctrl-C and SIGTERM, the same everywhere: first finish what was begun, at the second call end at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamseg.cli import terminal
from streamseg.destinations import remove_unfinished

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _end_at_once(exit_code: int) -> None:
    remove_unfinished()
    os._exit(exit_code)


@contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal calls `stop`, which must only take note; the second ends the process."""

    def first(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, lambda *_: _end_at_once(128 + number))
        stop()
        terminal.err.print("stopping; what is pending is said first (once more ends at once)")

    before = [(each, signal.signal(each, first)) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
