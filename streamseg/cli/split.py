"""`streamseg split`: a recording cut into its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamseg.cli.options import (
    LessonsOption,
    LookaheadOption,
    ModelOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    chosen_model,
    chosen_settings,
    lessonbook,
)

EXAMPLES = """Examples:

streamseg split night.flac --profile dj -o tracks

streamseg split talk.wav --format mp3 --profile broadcast -o parts

streamseg split song.wav --events song.jsonl -o parts
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sound file of any kind.")],
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write into; made if need be.")
    ],
    audio_format: Annotated[
        Literal["flac", "wav", "mp3", "ogg"], typer.Option("--format", "-f", help="What to write.")
    ] = "flac",
    events: Annotated[
        Path | None,
        typer.Option(metavar="EVENTS.jsonl", help="Cut as an earlier `analyze` found, instead of listening again."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace existing files (never one that is read); cut by events that seem to be of another sound.",
            show_default=False,
        ),
    ] = False,
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    lessons: LessonsOption = None,
) -> None:
    """Write one tagged sound file per section. Needs the ffmpeg program."""
    from streamseg.cli import terminal
    from streamseg.cli.analyze import heard
    from streamseg.cli.export import read_events
    from streamseg.cli.hearing import Hearing
    from streamseg.cli.paths import check_outputs, read_files
    from streamseg.cli.same_recording import check_same_recording
    from streamseg.cli.stopping import on_signals
    from streamseg.destinations import check_folder
    from streamseg.errors import OutputFailed
    from streamseg.outputs import recording_of
    from streamseg.outputs.split import check_readable_twice, part_paths, split
    from streamseg.sources import AudioFile

    settings = chosen_settings(profile, changes, lookahead, sensitivity)
    reads = read_files(sounds=[file.absolute()], files=[events, model], lessons=lessons)
    check_folder(folder)
    check_readable_twice(file)
    source = AudioFile(file)
    failure = None
    if events is not None:
        recording = recording_of(read_events(events))
        if force:
            for _ in source:  # what is no sound (a playlist, say) never comes to the ffmpeg program, which follows it
                break
        else:
            with terminal.busy(f"comparing {events} with {file}"):
                check_same_recording(recording, file, source)
    else:
        hearing = Hearing(file.stem, source, settings, model=chosen_model(model), lessons=lessonbook(lessons, None))
        try:
            with on_signals(hearing.finish):
                recording = recording_of(heard(hearing))
        except OutputFailed:
            if hearing.failure:  # no sound, so that there was no section
                raise hearing.failure from None
            raise
        if hearing.stopped:
            terminal.err.print("streamseg: stopped before the end, nothing was cut")
            raise typer.Exit(1)
        failure = hearing.failure
    parts = part_paths(recording, folder, audio_format)
    replace = check_outputs(parts, reads, force=force, folder_to_make=folder)
    total_s = 0.0
    for part in split(file, recording, folder, audio_format=audio_format, replace=replace):
        terminal.out.print(f"{part.path}  {terminal.clock(part.duration_s)}")
        total_s += part.duration_s
    terminal.err.print(f"{len(recording.sections)} files, {terminal.clock(total_s)} in all, in {folder}")
    if failure:
        raise failure
