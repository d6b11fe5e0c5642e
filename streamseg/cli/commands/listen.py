"""`streamseg listen`: shows the sections of a microphone's sound live in the terminal."""

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
    all_settings_from_options,
    choose_stores,
    load_chosen_model,
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
        bool, typer.Option("--serve", help="Serve the events too: page and WebSocket, on this machine only.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8765,
    save: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="Save the sound, to analyze it again.")] = None,
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
    """Listen to a microphone and show its sections, level and changes while they happen."""
    from streamseg.cli import serving, terminal
    from streamseg.cli.paths import collect_inputs, refuse_input_as_capture
    from streamseg.cli.screen import LiveScreen
    from streamseg.live import Session
    from streamseg.sources import open_source

    settings, server_settings = all_settings_from_options(profile, changes, lookahead, sensitivity)
    stores = choose_stores(history, memory, feedback, no_history=no_history)
    inputs = collect_inputs(files=[model], databases=stores.database_paths, feedback_file=stores.feedback_path)
    if save is not None:
        refuse_input_as_capture(save, inputs)
    source = open_source("mic" if device is None else f"mic:{device}", save=save)
    session = Session(
        "mic",
        source,
        settings,
        telemetry=True,
        model=load_chosen_model(model),
        name_store=stores.names,
        feedback_store=stores.feedback,
    )
    options = serving.ServeOptions(port=port, settings=server_settings, history=stores.history) if serve else None
    if not terminal.stdout.is_terminal:
        serving.run_and_print_sessions([session], options)
        return
    screen = LiveScreen(source.name)
    serving.run_sessions([session], screen.show_events, options, screen.set_page_url)
    screen.draw_final_state_and_print_summary()
    serving.raise_session_failures([session])
