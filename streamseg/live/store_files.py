"""The default paths of history, name store and feedback store: in the user's data folder, or beside a history."""

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
    """Return the path of the event history in the user's data folder; create nothing."""
    return platformdirs.user_data_path("streamseg") / HISTORY_FILE


def open_name_store(path: Path | None = None, history: Path | None = None) -> NameStore:
    """Return the name store at `path`; if `path` is None, the one in the folder of the file `history`.

    With both None, that is the folder of the default history. Raises UsageError if the file is not a name store.
    Creates nothing.
    """
    store = NameStore(path or (history or default_history_path()).with_name(NAME_STORE_FILE))
    store.refuse_foreign_file()
    return store


def open_feedback_store(path: Path | None = None, history: Path | None = None) -> FeedbackStore:
    """Return the feedback store at `path`; if `path` is None, the one in the folder of the file `history`.

    With both None, that is the folder of the default history. Raises UsageError if the file cannot be read.
    Creates nothing.
    """
    store = FeedbackStore(path or (history or default_history_path()).with_name(FEEDBACK_FILE))
    store.read_all()
    return store
