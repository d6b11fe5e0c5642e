"""`streamseg evaluate`: how good it is on annotated sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import (
    AnnotatedFolder,
    ForceOption,
    LookaheadOption,
    ModelOption,
    ProfileOption,
    SetOption,
    TruthOption,
    chosen_model,
    chosen_settings,
)

EXAMPLES = """Examples:

streamseg evaluate songs --truth sections

streamseg evaluate mixes --profile dj --csv mixes.csv --pictures seen --jobs 2

streamseg evaluate mixes --profile dj --lookahead 5 --model mine.npz
"""


def command(
    folder: AnnotatedFolder,
    truth: TruthOption = "auto",
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
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
    force: ForceOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
) -> None:
    """Score what is found against what is true: changes, how late they were known, labels, kind of sound.

    Nothing scored has seen the future. The intervals are bootstrapped over tracks. Needs the extra [evaluation].
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.cli.extras import from_extra
    from streamseg.cli.paths import check_outputs, read_files

    with from_extra("evaluation"):
        from streamseg.evaluation import evaluate
        from streamseg.evaluation.annotations import annotated_files, files_in

        if pictures is not None:
            from streamseg.evaluation.pictures import draw, picture_paths

    settings = chosen_settings(profile, changes, lookahead)
    judge = chosen_model(model)
    written = [] if csv is None else [csv]
    if pictures is not None:
        written += picture_paths(pictures, (track.audio.stem for track in annotated_files(folder, truth)))
    replace = check_outputs(written, read_files(files=[model, *files_in(folder)]), force=force, folder_to_make=pictures)
    with terminal.counted("listening (the first run after installing compiles, about half a minute)") as progress:
        evaluation = evaluate(folder, settings, truth=truth, model=judge, jobs=jobs, progress=progress)
    hours = sum(track.duration_s for track in evaluation.tracks) / 3600
    table = Table("figure", "mean over tracks", "95 %", box=None)
    for row in evaluation.summary():
        table.add_row(*row)
    terminal.out.print(f"{len(evaluation.tracks)} tracks, {hours:.1f} h, profile {profile}, {settings.lookahead_s:g} s")
    terminal.out.print(table)
    if csv is not None:
        evaluation.write_csv(csv, replace=replace)
        terminal.err.print(f"a row a track: {csv}")
    if pictures is not None:
        terminal.err.print(f"{len(draw(evaluation, pictures, replace=replace))} pictures in {pictures}")
