"""Hooks of pytest for running tests in several processes with pytest-xdist; `conftest.py` imports them.

Each test file is one unit of work, so that its fixtures are made once. The slowest files start first. Tests that
measure time or memory are marked `alone`, and `scripts/test.sh` runs them after all others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
WORKERS_PER_CORE = 1.5  # many tests only wait for sound that plays in real time
MOST_WORKERS = 8  # each needs a second for its imports

# Files or single tests that fail on a busy machine, or that make it busy.
ALONE = (
    "live/",  # PulseAudio must get its time
    "integration/test_cli.py::test_demo_runs_in_real_time_and_ends_with_ctrl_c",
    "integration/test_cli.py::test_the_first_frame_comes_soon",
    "unit/test_protocol_access.py::test_comparing_takes_the_same_time_however_much_is_right",
    "unit/test_ring_buffer.py::test_a_write_is_over_in_no_time",
    "unit/test_ring_buffer.py::test_two_threads_for_three_seconds",
    "integration/test_server_load.py::test_a_hundred_clients_get_everything",
    "integration/test_server_load.py::test_stalled_clients_cost_little",
    "integration/test_server_load.py::test_fuzzed_frames",
    "integration/test_server_slow.py",
    "unit/test_playback.py::test_playback_takes_as_long_as_the_sound_and_loses_nothing",
)
# librosa compiles into a cache; a worker crashed when several processes filled it at once.
WITH_LIBROSA = ("test_feature_arrays.py", "test_features.py", "test_features_tuning.py")
SLOWEST_FIRST = (
    "integration/test_cli_faults.py",
    "laws/test_input_is_never_output.py",
    "integration/test_cli.py",
    "browser/",
    "unit/test_kernels.py",
    "unit/test_evaluation.py",
    "integration/test_standard_streams.py",
    "integration/test_readme.py",
    "unit/test_feedback.py",
    "unit/test_sound_class_training.py",
    "integration/test_cli_control.py",
)


def _place(item: pytest.Item) -> str:
    """Return `live/test_microphone.py::test_x` for a test of that file, without its parameters."""
    return f"{item.path.relative_to(TESTS).as_posix()}::{item.nodeid.split('::', 1)[-1].split('[')[0]}"


def _rank(item: pytest.Item) -> int:
    place = _place(item)
    return next((n for n, start in enumerate(SLOWEST_FIRST) if place.startswith(start)), len(SLOWEST_FIRST))


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _place(item).startswith(ALONE):
            item.add_marker("alone")
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile all kernels once, before the workers would all do so at the same time."""
    if not hasattr(session.config, "workerinput") and session.config.getoption("numprocesses", None):
        subprocess.run(
            [sys.executable, "-m", "tools.forked_commands"], cwd=TESTS.parent, stdin=subprocess.DEVNULL, check=True
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return min(MOST_WORKERS, int(WORKERS_PER_CORE * (os.cpu_count() or 1)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Schedule whole files in the order of `pytest_collection_modifyitems`.

    The files of `browser/` go to one worker, so that one Chromium starts; so do those that use librosa.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            if path.endswith(WITH_LIBROSA):
                return "with librosa"
            return "browser" if "/browser/" in path else path

    config.option.loadscopereorder = False
    return Files(config, log)
