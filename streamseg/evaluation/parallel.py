"""Many files at a time, each in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")
_Task = tuple[int, Callable[..., Any], tuple[Any, ...]]


def run_parallel(
    function: Callable[..., Result], work: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, Result]]:
    """Call function with each of these arguments; gives (which, result) as they become ready, in any order.

    jobs: processes at a time; with one, everything happens here. Closing the iterator, or Ctrl-C, ends them.
    """
    tasks = [(number, function, arguments) for number, arguments in enumerate(work)]
    if jobs == 1 or len(work) < 2:
        yield from map(_run_task, tasks)
        return
    with get_context().Pool(min(jobs, len(work)), _ignore_interrupt) as pool:
        yield from pool.imap_unordered(_run_task, tasks)


def _run_task(task: _Task) -> tuple[int, Any]:
    number, function, arguments = task
    return number, function(*arguments)


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
