"""`streamseg evaluate`: measures the accuracy on annotated sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamseg.cli.options import (
    AnnotatedFolder,
    ForceOption,
    LookaheadOption,
    ModelOption,
    ProfileOption,
    SensitivityOption,
    SetOption,
    TruthOption,
    load_chosen_model,
    settings_from_options,
)
from streamseg.errors import UsageError

EXAMPLES = """Examples:

streamseg evaluate songs --truth sections

streamseg evaluate mixes --profile dj --csv mixes.csv --pictures seen --jobs 2

streamseg evaluate mixes --profile dj --lookahead 5 --model mine.npz

streamseg evaluate worlds --beside checkerboard
"""


def command(
    folder: AnnotatedFolder,
    truth: TruthOption = "auto",
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    sensitivity: SensitivityOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write one row for each track.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also draw each track (novelty, true and detected sections) and a reliability diagram, as PNG files.",
        ),
    ] = None,
    beside: Annotated[
        Literal["checkerboard"] | None,
        typer.Option(help="Score this on the same files too: causal checkerboard novelty, not trained."),
    ] = None,
    force: ForceOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files to process at a time.")] = 1,
) -> None:
    r"""Score the events against annotations: boundaries, their delay, labels, kind of sound.

    All scores are causal. Of a folder of folders each is scored by itself, the worst first. The intervals are
    bootstrapped over tracks. Needs the extra \[evaluation].
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.cli.extras import convert_missing_module_errors
    from streamseg.cli.paths import collect_inputs, decide_replacing_outputs

    with convert_missing_module_errors("evaluation"):
        from streamseg.evaluation import evaluate_folder, worlds
        from streamseg.evaluation.annotations import find_annotated_files, list_sound_and_annotation_files

        if pictures is not None:
            from streamseg.evaluation.plots import draw_evaluation, list_picture_paths

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    classifier = load_chosen_model(model)
    folders = worlds.find_world_folders(folder, truth)
    if len(folders) > 1 and (csv is not None or pictures is not None):
        raise UsageError(f"{folder} has {len(folders)} folders of sound; --csv and --pictures need one of them as DIR")
    outputs = [] if csv is None else [csv]
    if pictures is not None:
        outputs += list_picture_paths(pictures, (track.audio.stem for track in find_annotated_files(folder, truth)))
    inputs = collect_inputs(
        files=[model, *(path for world_folder in folders for path in list_sound_and_annotation_files(world_folder))]
    )
    replace = decide_replacing_outputs(outputs, inputs, force=force, folder_to_make=pictures)
    scored_worlds: list[worlds.WorldScores] = []
    for world_folder in folders:
        with terminal.show_progress(
            "analyzing (the first run after installing compiles, about half a minute)"
        ) as progress:
            evaluation = evaluate_folder(
                world_folder, settings, truth=truth, model=classifier, jobs=jobs, progress=progress
            )
            checkerboard = worlds.score_checkerboard(evaluation, jobs) if beside else ()
            scored_worlds.append(worlds.WorldScores(world_folder.name, evaluation.tracks, checkerboard))
    hours = sum(track.duration_s for world in scored_worlds for track in world.tracks) / 3600
    tracks = sum(len(world.tracks) for world in scored_worlds)
    terminal.stdout.print(
        f"{terminal.format_count(tracks, 'track')}, {hours:.1f} h, profile {profile}, {settings.lookahead_s:g} s"
    )
    if len(folders) == 1:
        table = Table("figure", "mean over tracks", "95 %", box=None)
        for figure in evaluation.summary_rows():
            table.add_row(*figure)
        terminal.stdout.print(table)
    if len(folders) > 1 or beside:
        table = Table(*worlds.COLUMNS, box=None, padding=(0, 1, 0, 0))
        for world in worlds.sort_worst_first(scored_worlds):
            for row in world.table_rows():
                table.add_row(*row)
        terminal.stdout.print(table)
    if csv is not None:
        evaluation.write_csv(csv, replace=replace)
        terminal.stderr.print(f"one row for each track in {csv}")
    if pictures is not None:
        terminal.stderr.print(f"{len(draw_evaluation(evaluation, pictures, replace=replace))} pictures in {pictures}")
