"""Ctrl-C, SIGTERM and SIGHUP (SIGBREAK on Windows), the same everywhere.

First finish what was begun, at the second call end at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamseg.cli import terminal
from streamseg.destinations import remove_temporary_files


def _signals() -> list[signal.Signals]:
    """Those that end a command. SIGHUP says that the terminal is gone, unless `nohup` had it ignored.

    Windows has SIGBREAK for Ctrl-Break and for a console window that is closed.
    """
    ending = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        ending.append(signal.SIGBREAK)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending.append(signal.SIGHUP)
    return ending


def _end_at_once(exit_code: int) -> None:
    remove_temporary_files()
    os._exit(exit_code)


@contextmanager
def handle_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal calls `stop`, which must only take note; the second ends the process."""
    signals = _signals()

    def first(number: int, _frame: object) -> None:
        for each in signals:
            # A terminal that closes sends SIGHUP twice, by its shell and by the system: that is one call.
            again = each in (signal.SIGINT, signal.SIGTERM)
            signal.signal(each, (lambda *_: _end_at_once(128 + number)) if again else signal.SIG_IGN)
        stop()
        terminal.stderr.print("stopping; what is pending is said first (once more ends at once)")

    before = [(each, signal.signal(each, first)) for each in signals]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
