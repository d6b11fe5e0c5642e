"""`streamseg names`: lists the named sounds that later runs recognise, or deletes one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streamseg.cli.options import MemoryOption

EXAMPLES = """Examples:

streamseg names

streamseg names --forget Jingle
"""


def command(
    forget: Annotated[str | None, typer.Option(metavar="NAME", help="Delete every sound of this name.")] = None,
    memory: MemoryOption = None,
) -> None:
    """List the named sounds that later runs recognise, or delete one."""
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.errors import UsageError
    from streamseg.live import open_name_store
    from streamseg.wire.printable import make_printable

    store = open_name_store(memory)
    if forget is not None:
        count = store.delete_entries(forget)
        if not count:
            names = ", ".join(sorted({entry.name for entry in store.list_entries()})) or "none"
            raise UsageError(f"no sound has the name {forget!r} in {store.path}; names there: {names}")
        terminal.stderr.print(f"{count} of {forget!r} deleted, from the next run on")
        return
    entries = store.list_entries()
    if not entries:
        terminal.stderr.print(
            f"no sound has a name in {store.path} yet; give one with `streamseg name` or on the page while a stream "
            "plays, or with `streamseg teach` from a recording"
        )
        return
    table = Table("name", "kind", "heard on", "named", box=None)
    for entry in entries:
        created_at = datetime.fromtimestamp(entry.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(make_printable(entry.name), entry.kind, make_printable(entry.stream or "-"), created_at)
    terminal.stdout.print(table)
