"""Handles Ctrl-C, SIGTERM and SIGHUP (SIGBREAK on Windows).

At the first signal a command finishes its work and ends; the second signal ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamseg.atomic_files import remove_temporary_files
from streamseg.cli import terminal


def _stop_signals() -> list[signal.Signals]:
    """The signals that end a command.

    SIGHUP means that the terminal has been closed; `nohup` has it ignored. On Windows SIGBREAK means Ctrl-Break or a
    console window that is closed.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _end_at_once(exit_code: int) -> None:
    remove_temporary_files()
    os._exit(exit_code)


@contextmanager
def handle_stop_signals(stop: Callable[[], None], is_compiling: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """In the `with` block, call `stop` at the first Ctrl-C, SIGTERM or SIGHUP; end the process at the second.

    stop: must return at once. is_compiling: whether kernels are being compiled, which nothing interrupts; the user is
    told so.
    """
    numbers = _stop_signals()

    def handle_first(number: int, _frame: object) -> None:
        for each in numbers:
            # A terminal that is closed sends SIGHUP twice, by its shell and by the system; that counts once.
            ends_at_once = each in (signal.SIGINT, signal.SIGTERM)
            signal.signal(each, (lambda *_: _end_at_once(128 + number)) if ends_at_once else signal.SIG_IGN)
        stop()
        work = "the compilation, which may take a minute" if is_compiling() else "the pending events"
        terminal.stderr.print(f"stopping after {work} (a second Ctrl-C stops at once)")

    previous_handlers = [(each, signal.signal(each, handle_first)) for each in numbers]
    try:
        yield
    finally:
        for each, handler in previous_handlers:
            signal.signal(each, handler)
