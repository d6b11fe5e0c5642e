"""Calls a function for many files at a time, in several processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from joblib import Parallel, delayed

Result = TypeVar("Result")


def run_parallel(
    function: Callable[..., Result], work: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, Result]]:
    """Call a function in several processes, once for each tuple in `work`; yield (index, result) when a call ends.

    work: tuples of arguments. index: of the tuple in `work`; results come in the order of completion. jobs: number of
    processes; with 1 the calls run in this process. Ctrl-C ends the processes.
    """
    processes = max(1, min(jobs, len(work)))
    parallel = Parallel(n_jobs=processes, return_as="generator_unordered", initializer=_ignore_interrupt)
    yield from parallel(delayed(_run_task)(index, function, arguments) for index, arguments in enumerate(work))


def _run_task(index: int, function: Callable[..., Result], arguments: tuple[Any, ...]) -> tuple[int, Result]:
    return index, function(*arguments)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the process that waits for the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
