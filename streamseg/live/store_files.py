"""Where history, name store and feedback store lie by default: in the user's data folder, or beside a history."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import platformdirs

from streamseg.live.feedback_store import FeedbackStore
from streamseg.live.name_store import NameStore

HISTORY_FILE: Final = "history.sqlite"
NAME_STORE_FILE: Final = "memory.sqlite"
FEEDBACK_FILE: Final = "lessons.json"


def default_history_path() -> Path:
    """The history file in the user's data folder of this system; nothing is made."""
    return platformdirs.user_data_path("streamseg") / HISTORY_FILE


def open_name_store(path: Path | None = None, history: Path | None = None) -> NameStore:
    """The name store at `path`, or beside `history`, or beside the default history.

    Raises UsageError when the file is something else.
    """
    store = NameStore(path or (history or default_history_path()).with_name(NAME_STORE_FILE))
    store.check()
    return store


def open_feedback_store(path: Path | None = None, history: Path | None = None) -> FeedbackStore:
    """The feedback store at `path`, or beside `history`, or beside the default history.

    Raises UsageError when the file cannot be read.
    """
    store = FeedbackStore(path or (history or default_history_path()).with_name(FEEDBACK_FILE))
    store.read_all()
    return store
