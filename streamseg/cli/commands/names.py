"""`streamseg names`: the named sounds that are kept from one run to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streamseg.cli.options import MemoryOption, choose_history_path, open_name_store

EXAMPLES = """Examples:

streamseg names

streamseg names --forget Jingle
"""


def command(
    forget: Annotated[str | None, typer.Option(metavar="NAME", help="Forget every sound of this name.")] = None,
    memory: MemoryOption = None,
) -> None:
    """Show which sounds have a name and are recognised in the next run, or forget one."""
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.errors import UsageError
    from streamseg.wire.printable import make_printable

    file = open_name_store(memory, choose_history_path(None, none=False))
    assert file is not None  # noqa: S101  there is always a place for a history
    if forget is not None:
        gone = file.delete_entries(forget)
        if not gone:
            known = ", ".join(sorted({entry.name for entry in file.list_entries()})) or "nothing"
            raise UsageError(f"no sound is called {forget!r}; remembered: {known}")
        terminal.stderr.print(f"{gone} of {forget!r} forgotten, from the next run on")
        return
    entries = file.list_entries()
    if not entries:
        terminal.stderr.print(f"nothing has a name in {file.path} yet (streamseg name, or the page)")
    table = Table("name", "kind", "heard on", "named", box=None)
    for entry in entries:
        named = datetime.fromtimestamp(entry.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(make_printable(entry.name), entry.kind, make_printable(entry.stream or "-"), named)
    terminal.stdout.print(table)
