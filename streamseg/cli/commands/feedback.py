"""`streamseg lessons`: what the listeners of this installation taught, and how to unlearn it."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.options import FEEDBACK_FILE, FeedbackOption

EXAMPLES = """Examples:

streamseg lessons

streamseg lessons --forget
"""


def command(
    feedback: FeedbackOption = None,
    forget: Annotated[bool, typer.Option("--forget", help="Unlearn everything, from the next start on.")] = False,
) -> None:
    """Show what marks (confirm, reject, "boundary here") have taught, or forget it.

    Marks are made on the page or over the WebSocket, with the control token where there is one. Each profile learns
    by itself; what was learned shifts the log-odds of a change by at most 2.5 either way.
    """
    import platformdirs
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.engine.boundaries.feedback import FEATURE_GROUPS
    from streamseg.live.feedback_store import FeedbackStore
    from streamseg.settings import PROFILES

    book = FeedbackStore(feedback or platformdirs.user_data_path("streamseg") / FEEDBACK_FILE)
    if forget:
        terminal.stdout.print(f"{book.delete_all()} marks forgotten ({book.path})")
        return
    table = Table("profile", "marks", "right", "hash", "always", *FEATURE_GROUPS, box=None)
    for profile in PROFILES:
        marks = book.observations(profile)
        learned = book.fit_model(profile)
        if learned is not None:
            shifts = (f"{shift:+.2f}" for shift in (learned.bias, *learned.weights))
            table.add_row(profile, str(len(marks)), str(sum(mark.is_boundary for mark in marks)), learned.hash, *shifts)
    if table.row_count:
        terminal.stdout.print(table)
        terminal.stdout.print("log-odds added to a change: always, and as far as each part of the sound moves (0 to 1)")
    else:
        terminal.stdout.print(f"nothing was taught yet ({book.path})")
