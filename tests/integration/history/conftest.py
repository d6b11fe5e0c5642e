"""Where the tests of the history keep it, and how often it is looked at."""

from __future__ import annotations

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def quick_looks(monkeypatch):
    """A loss is looked for ten times as often as for users."""
    monkeypatch.setattr("streamseg.history.file_watch._CHECK_INTERVAL_S", 0.1)
    monkeypatch.setattr("streamseg.history.writer_thread._IDLE_S", 0.1)
