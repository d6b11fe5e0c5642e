"""`streamseg names`: the named sounds that are kept from one run to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streamseg.cli.options import MemoryOption, history_path, memory_file

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
    from streamseg.errors import AskedWrongly
    from streamseg.printable import printable

    file = memory_file(memory, history_path(None, none=False))
    assert file is not None  # noqa: S101  there is always a place for a history
    if forget is not None:
        gone = file.forget(forget)
        if not gone:
            known = ", ".join(sorted({entry.name for entry in file.entries()})) or "nothing"
            raise AskedWrongly(f"no sound is called {forget!r}; remembered: {known}")
        terminal.err.print(f"{gone} of {forget!r} forgotten, from the next run on")
        return
    entries = file.entries()
    if not entries:
        terminal.err.print(f"nothing has a name in {file.path} yet (streamseg name, or the page)")
    table = Table("name", "kind", "heard on", "named", box=None)
    for entry in entries:
        named = datetime.fromtimestamp(entry.taught_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(printable(entry.name), entry.kind, printable(entry.stream or "-"), named)
    terminal.out.print(table)
