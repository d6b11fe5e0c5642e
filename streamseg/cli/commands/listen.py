"""`streamseg listen`: the microphone, live in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import (
    FeedbackOption,
    HistoryOption,
    LookaheadOption,
    MemoryOption,
    ModelOption,
    NoHistoryOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    choose_history_path,
    load_chosen_model,
    open_feedback_store,
    open_name_store,
    server_settings_from_options,
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
    feedback: FeedbackOption = None,
) -> None:
    """Listen to a microphone and show sections, level and changes as they come."""
    from streamseg.cli import serving, terminal
    from streamseg.cli.paths import collect_inputs, refuse_capture
    from streamseg.cli.screen import LiveScreen
    from streamseg.live.session import Session
    from streamseg.sources import open_source

    engine, server = server_settings_from_options(profile, changes, lookahead, sensitivity)
    kept = choose_history_path(history, none=no_history)
    remembered, book = open_name_store(memory, kept), open_feedback_store(feedback, kept)
    reads = collect_inputs(
        files=[model], databases=[kept, remembered.path if remembered else None], lessons=book.path if book else None
    )
    if save is not None:
        refuse_capture(save, reads)
    source = open_source("mic" if device is None else f"mic:{device}", save=save)
    session = Session(
        "mic",
        source,
        engine,
        telemetry=True,
        model=load_chosen_model(model),
        name_store=remembered,
        feedback_store=book,
    )
    where = None
    if serve:
        where = serving.ServeOptions(port=port, settings=server, history=kept)
    if not terminal.stdout.is_terminal:
        serving.run_and_print([session], where)
        return
    screen = LiveScreen(source.name)
    serving.run_sessions([session], screen.on_events, where, screen.show_address)
    screen.close()
    serving.raise_failures([session])
