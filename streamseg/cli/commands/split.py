"""`streamseg split`: cuts a recording into its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import (
    FeedbackOption,
    LookaheadOption,
    ModelOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    load_chosen_model,
    settings_from_options,
)
from streamseg.outputs.split import SplitFormat

EXAMPLES = """Examples:

streamseg split night.flac --profile dj -o tracks

streamseg split talk.wav --format mp3 --profile broadcast -o parts

streamseg split song.wav --events song.jsonl -o parts
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sound file of any kind.")],
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder to write to; it is made if it does not exist."),
    ],
    audio_format: Annotated[SplitFormat, typer.Option("--format", "-f", help="Format of the files.")] = "flac",
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="EVENTS.jsonl", help="Cut by the events of an earlier `analyze` instead of analyzing again."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace existing files, but never one that this command reads; cut even if the events seem to be of "
            "another recording.",
            show_default=False,
        ),
    ] = False,
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    feedback: FeedbackOption = None,
) -> None:
    """Write one tagged sound file for each section. Needs the ffmpeg program."""
    from streamseg.atomic_files import check_folder_can_be_written
    from streamseg.cli import terminal
    from streamseg.cli.commands.analyze import iterate_events_and_print_summary
    from streamseg.cli.paths import collect_inputs, decide_replacing_outputs
    from streamseg.cli.signals import handle_stop_signals
    from streamseg.engine.kernels import is_compiling
    from streamseg.errors import OutputError
    from streamseg.live import Session, open_feedback_store
    from streamseg.outputs import collect_recording
    from streamseg.outputs.event_file import read_events
    from streamseg.outputs.recording_match import check_events_match_sound
    from streamseg.outputs.split import check_readable_twice, list_part_paths, split_recording
    from streamseg.sources import AudioFileSource

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    inputs = collect_inputs(sounds=[file.absolute()], files=[events, model], feedback_file=feedback)
    check_folder_can_be_written(folder)
    check_readable_twice(file)
    source = AudioFileSource(file)
    failure = None
    if events is not None:
        recording = collect_recording(read_events(events))
        if force:
            for _ in source:  # refuses what is not sound, such as a playlist, whose entries the ffmpeg program opens
                break
        else:
            with terminal.show_busy(f"comparing {events} with {file}"):
                check_events_match_sound(recording, file, source)
    else:
        session = Session(
            file.stem,
            source,
            settings,
            model=load_chosen_model(model),
            feedback_store=open_feedback_store(feedback) if feedback else None,
        )
        try:
            with handle_stop_signals(session.finish, is_compiling):
                recording = collect_recording(iterate_events_and_print_summary(session))
        except OutputError:
            if session.failure:  # no sound, so there is no section
                raise session.failure from None
            raise
        if session.is_stopped:
            terminal.stderr.print("streamseg: stopped before the end, nothing was cut")
            raise typer.Exit(1)
        failure = session.failure
    parts = list_part_paths(recording, folder, audio_format)
    replace = decide_replacing_outputs(parts, inputs, force=force, folder_to_make=folder)
    total_s = 0.0
    for part in split_recording(file, recording, folder, audio_format=audio_format, replace=replace):
        terminal.stdout.print(f"{part.path}  {terminal.format_clock(part.duration_s)}")
        total_s += part.duration_s
    terminal.stderr.print(
        f"{terminal.format_count(len(parts), 'file')}, {terminal.format_clock(total_s)} in all, in {folder}"
    )
    if failure:
        raise failure
