"""Fixtures that several test files share: the demo programme as a file, and commands as forks.

`side_by_side.py` has the hooks for running tests in parallel.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from side_by_side import (  # noqa: F401  pytest calls them
    pytest_collection_modifyitems,
    pytest_sessionstart,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme
from tools.forked_commands import CommandForks

# A shell ignores these signals for background jobs, and nohup one of them; the commands under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandForks]:
    """Runs commands as forks of one process that is warm."""
    with CommandForks() as forks:
        yield forks


@pytest.fixture(scope="session")
def programme(tmp_path_factory) -> Path:
    """The demo's programme as a file."""
    path = tmp_path_factory.mktemp("sound") / "programme.wav"
    soundfile.write(path, render_programme(), SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.fixture(scope="session")
def programme_from_8_s(tmp_path_factory) -> Path:
    """The demo's programme without its first 8 s, for tests that wait in real time: the first change lies at 6 s."""
    path = tmp_path_factory.mktemp("sound") / "programme.wav"
    soundfile.write(path, render_programme()[8 * SAMPLE_RATE :], SAMPLE_RATE, subtype="FLOAT")
    return path
