"""`streamseg listen`: the microphone, live in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import (
    HistoryOption,
    LessonsOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    NoHistoryOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    chosen_for_server,
    chosen_model,
    history_path,
    lessonbook,
    memory_file,
)

EXAMPLES = """Examples:

streamseg listen

streamseg listen --device USB --profile room

streamseg listen --serve --save take.wav
"""


def command(
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="An input device, by part of its name (see: streamseg devices).")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it as well: page and WebSocket on this machine.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8765,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.wav", help="Keep what comes in, to analyze it again.")
    ] = None,
    history: HistoryOption = None,
    no_history: NoHistoryOption = False,
    memory: MemoryOption = None,
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    lessons: LessonsOption = None,
) -> None:
    """Listen to a microphone and show sections, level and changes as they come."""
    from streamseg.cli import live, terminal
    from streamseg.cli.hearing import Hearing
    from streamseg.cli.paths import read_files, refuse_capture
    from streamseg.cli.screen import Screen
    from streamseg.sources import open_source

    engine, server = chosen_for_server(profile, changes, lookahead, sensitivity)
    kept = history_path(history, none=no_history)
    remembered, book = memory_file(memory, kept), lessonbook(lessons, kept)
    reads = read_files(
        files=[model], databases=[kept, remembered.path if remembered else None], lessons=book.path if book else None
    )
    if save is not None:
        refuse_capture(save, reads)
    source = open_source("mic" if device is None else f"mic:{device}", save=save)
    hearing = Hearing(
        "mic",
        source,
        engine,
        telemetry=True,
        model=chosen_model(model),
        memory=remembered,
        lessons=book,
    )
    where = None
    if serve:
        where = live.Port(port=port, settings=server, history=kept)
    if not terminal.out.is_terminal:
        live.show([hearing], where)
        return
    screen = Screen(source.name)
    live.run([hearing], screen.tell, where, screen.opened)
    screen.close()
    live.settle([hearing])
