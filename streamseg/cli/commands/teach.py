"""`streamseg teach`: stores a jingle, so that later streams recognise it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import MemoryOption

EXAMPLES = """Examples:

streamseg teach jingle.wav --name "News at noon"

streamseg teach show.ogg --name Ads --from 63.2 --to 67.8

streamseg teach --forget --name Ads
"""


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A recording of the sound; cut it where the boundary should be."),
    ] = None,
    *,
    name: Annotated[str, typer.Option(help="Its name.")],
    start_s: Annotated[float, typer.Option("--from", min=0, metavar="SECONDS", help="Where in FILE it starts.")] = 0.0,
    end_s: Annotated[
        float | None, typer.Option("--to", min=0, metavar="SECONDS", help="Where in FILE it ends.", show_default=False)
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Delete the sounds of this name instead.")] = False,
    memory: MemoryOption = None,
) -> None:
    """Teach a sound of some seconds (a jingle, a signal, the sound before the news), to be recognised later.

    Streams that start later recognise it: a boundary is placed exactly where it starts (`snapped_to: "cue:NAME"`), and
    the section that begins there has its name.
    """
    from streamseg.cli import terminal
    from streamseg.errors import UsageError
    from streamseg.live import open_name_store, teach_jingle

    store = open_name_store(memory)
    if forget:
        count = store.delete_entries(name)
        if not count:
            raise UsageError(f"no sound has the name {name!r} in {store.path}")
        terminal.stderr.print(f"deleted {name!r} ({count}) from {store.path}")
        return
    if file is None:
        raise UsageError("no recording was given; give a FILE, or --forget")
    fingerprint = teach_jingle(store, name, file, start_s, end_s)
    count = sum(entry.name == fingerprint.name for entry in store.list_entries())
    others = f"; {count} sounds have this name now, and each is recognised (--forget deletes all)" if count > 1 else ""
    terminal.stderr.print(
        f"learned {fingerprint.name!r} from its first {fingerprint.compared_duration_s:.1f} s; "
        f"stored in {store.path}{others}"
    )
