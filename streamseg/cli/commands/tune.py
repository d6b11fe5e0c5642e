"""`streamseg tune`: fits the boundary classifier to your own annotated sound."""

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
    load_chosen_model,
    settings_from_options,
)

EXAMPLES = """Examples:

streamseg tune songs --truth sections -o mine.npz

streamseg tune mixes --profile dj -o mine.npz --jobs 2

Then: streamseg serve mic --profile dj --model mine.npz
"""


def command(
    folder: AnnotatedFolder,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="File to write the model to.")],
    force: ForceOption = False,
    truth: TruthOption = "auto",
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Files to process at a time.")] = 1,
) -> None:
    r"""Fit the boundary classifier to sound that you have annotated, and report the gain on held-out files.

    Every score comes from folds by file: the model that scores a file was fitted to the others. With little sound only
    probabilities and thresholds are fitted; with hours of it new trees are trained too. The best model is written.
    Needs the extra \[evaluation].
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.cli.extras import convert_missing_module_errors
    from streamseg.cli.paths import collect_inputs, decide_replacing_output
    from streamseg.engine.models.loader import load_boundary_model

    with convert_missing_module_errors("evaluation"):
        from streamseg.evaluation.annotations import list_sound_and_annotation_files
        from streamseg.evaluation.tune import MIN_FILES_FOR_TREES, MIN_HOURS_FOR_TREES, tune_model

    settings = settings_from_options(profile, changes, lookahead)
    replace = decide_replacing_output(
        out, collect_inputs(files=[model, *list_sound_and_annotation_files(folder)]), force=force
    )
    start = load_chosen_model(model) or load_boundary_model(profile)
    with terminal.show_progress("analyzing (the first run after installing compiles, about half a minute)") as progress:
        tuning = tune_model(folder, settings, start, truth=truth, jobs=jobs, progress=progress)
    tuning.model.save(out, replace=replace)
    files = len(tuning.steps[0].tracks)
    terminal.stdout.print(
        f"{files} files, {tuning.hours:.1f} h, {tuning.changes} changes; {tuning.folds} folds by file, "
        f"profile {profile}, {settings.lookahead_s:g} s"
    )
    table = Table("", "F (3 s)", "95 %", "precision", "recall", "false/h", "delay", "p90", box=None)
    for step in tuning.steps:
        table.add_row(*step.table_row(), style="bold" if step.step == tuning.best else "")
    terminal.stdout.print(table)
    if len(tuning.steps) == 2:
        terminal.stdout.print(
            f"no new trees were trained: that needs at least {MIN_HOURS_FOR_TREES:g} h and {MIN_FILES_FOR_TREES} files"
        )
    if tuning.best == "as it is":
        terminal.stdout.print(f"no fit was better than the model it started from, so {out} is that model")
    else:
        terminal.stdout.print(f"{out} is the model '{tuning.best}', fitted to all files (hash {tuning.model.hash})")
