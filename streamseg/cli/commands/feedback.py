"""`streamseg feedback`: shows what was learned from listeners' marks, or deletes the marks."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.options import FeedbackOption

EXAMPLES = """Examples:

streamseg feedback

streamseg feedback --forget
"""


def command(
    feedback: FeedbackOption = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Delete all marks; streams that start later do not use them.")
    ] = False,
) -> None:
    """Show what was learned from listeners' marks (confirm, reject, "boundary here"), or delete the marks.

    Marks are made on the page or over the WebSocket. Like naming, that needs the control token that the server was
    started with; a server without one refuses it. Each profile learns separately. What was learned changes the
    log-odds of a boundary by at most 2.5 in either direction.
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.engine.boundaries.feedback import FEATURE_GROUPS
    from streamseg.live import FeedbackStore, default_history_path, open_feedback_store
    from streamseg.live.store_files import FEEDBACK_FILE
    from streamseg.settings import PROFILES

    if forget:  # without reading the file, which may be damaged
        store = FeedbackStore(feedback or default_history_path().with_name(FEEDBACK_FILE))
        terminal.stdout.print(f"{store.delete_all()} marks deleted ({store.path})")
        return
    store = open_feedback_store(feedback)
    table = Table("profile", "marks", "right", "hash", "always", *FEATURE_GROUPS, box=None)
    for profile in PROFILES:
        marks = store.list_observations(profile)
        model = store.fit_model(profile)
        if model is not None:
            shifts = (f"{shift:+.2f}" for shift in (model.bias, *model.weights))
            table.add_row(profile, str(len(marks)), str(sum(mark.is_boundary for mark in marks)), model.hash, *shifts)
    if table.row_count:
        terminal.stdout.print(table)
        terminal.stdout.print(
            "log-odds added to a boundary: always, and times how far each part of the sound changes (0 to 1)"
        )
    else:
        terminal.stdout.print(f"no marks yet ({store.path})")
