"""`streamseg evaluate`: how good it is on annotated sound."""

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
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one row a track as well.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw each track (novelty, what is true, what was heard) and how reliable "
            "probabilities are, as PNG files.",
        ),
    ] = None,
    beside: Annotated[
        Literal["checkerboard"] | None,
        typer.Option(help="Score this on the same files too: causal novelty, nothing trained."),
    ] = None,
    force: ForceOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
) -> None:
    """Score what is found against what is true: changes, how late they were known, labels, kind of sound.

    Nothing scored has seen the future. Of a folder of folders each is scored by itself, the worst first. The intervals
    are bootstrapped over tracks. Needs the extra [evaluation].
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.cli.extras import require_extra
    from streamseg.cli.paths import check_outputs, collect_inputs

    with require_extra("evaluation"):
        from streamseg.evaluation import evaluate_folder, worlds
        from streamseg.evaluation.annotations import files_in, find_annotated_files

        if pictures is not None:
            from streamseg.evaluation.plots import draw_evaluation, picture_paths

    settings = settings_from_options(profile, changes, lookahead, sensitivity)
    classifier = load_chosen_model(model)
    folders = worlds.group_by_world(folder, truth)
    if len(folders) > 1 and (csv is not None or pictures is not None):
        raise UsageError(f"{folder} holds {len(folders)} folders of sound; --csv and --pictures take one of them")
    written = [] if csv is None else [csv]
    if pictures is not None:
        written += picture_paths(pictures, (track.audio.stem for track in find_annotated_files(folder, truth)))
    read = [path for one in folders for path in files_in(one)]
    replace = check_outputs(written, collect_inputs(files=[model, *read]), force=force, folder_to_make=pictures)
    found: list[worlds.World] = []
    for one in folders:
        with terminal.progress_counter(
            "listening (the first run after installing compiles, about half a minute)"
        ) as progress:
            evaluation = evaluate_folder(one, settings, truth=truth, model=classifier, jobs=jobs, progress=progress)
            found.append(
                worlds.World(one.name, evaluation.tracks, worlds.score_checkerboard(evaluation, jobs) if beside else ())
            )
    hours = sum(track.duration_s for one in found for track in one.tracks) / 3600
    tracks = sum(len(one.tracks) for one in found)
    terminal.stdout.print(f"{tracks} tracks, {hours:.1f} h, profile {profile}, {settings.lookahead_s:g} s")
    if len(folders) == 1:
        table = Table("figure", "mean over tracks", "95 %", box=None)
        for figure in evaluation.summary():
            table.add_row(*figure)
        terminal.stdout.print(table)
    if len(folders) > 1 or beside:
        table = Table(*worlds.COLUMNS, box=None, padding=(0, 1, 0, 0))
        for one_world in worlds.sort_worst_first(found):
            for row in one_world.rows():
                table.add_row(*row)
        terminal.stdout.print(table)
    if csv is not None:
        evaluation.write_csv(csv, replace=replace)
        terminal.stderr.print(f"a row a track: {csv}")
    if pictures is not None:
        terminal.stderr.print(f"{len(draw_evaluation(evaluation, pictures, replace=replace))} pictures in {pictures}")
