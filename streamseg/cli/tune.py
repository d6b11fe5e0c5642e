"""`streamseg tune`: the detector fitted to your own annotated sound."""

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

streamseg tune songs --truth sections -o mine.npz

streamseg tune mixes --profile dj -o mine.npz --jobs 2

Then: streamseg serve mic --profile dj --model mine.npz
"""


def command(
    folder: AnnotatedFolder,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write the model.")],
    force: ForceOption = False,
    truth: TruthOption = "auto",
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
) -> None:
    """Fit what judges changes to sound that you have annotated, and say honestly what that gains.

    Every figure comes from folds by file: what scores a file was fitted to the others. With little sound only the
    probabilities and the thresholds are fitted; with hours of it new trees are grown too, and the best of these is
    written. Needs the extra [evaluation].
    """
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.cli.extras import from_extra
    from streamseg.cli.paths import check_output, read_files
    from streamseg.weights import shipped_model

    with from_extra("evaluation"):
        from streamseg.evaluation.annotations import files_in
        from streamseg.evaluation.tune import GROWN_FROM_FILES, GROWN_FROM_HOURS, tune

    settings = chosen_settings(profile, changes, lookahead)
    replace = check_output(out, read_files(files=[model, *files_in(folder)]), force=force)
    start = chosen_model(model) or shipped_model(profile)
    with terminal.counted("listening (the first run after installing compiles, about half a minute)") as progress:
        tuned = tune(folder, settings, start, truth=truth, jobs=jobs, progress=progress)
    tuned.model.save(out, replace=replace)
    files = len(tuned.tried[0].tracks)
    terminal.out.print(
        f"{files} files, {tuned.hours:.1f} h, {tuned.changes} changes; {tuned.folds} folds by file, "
        f"profile {profile}, {settings.lookahead_s:g} s"
    )
    table = Table("", "F (3 s)", "95 %", "precision", "recall", "false/h", "delay", "p90", box=None)
    for tried in tuned.tried:
        table.add_row(*tried.row(), style="bold" if tried.step == tuned.best else "")
    terminal.out.print(table)
    if len(tuned.tried) == 2:
        terminal.out.print(
            f"no new trees were grown: that takes {GROWN_FROM_HOURS:g} h and {GROWN_FROM_FILES} files at least"
        )
    if tuned.best == "as it is":
        terminal.out.print(f"nothing was better than the model it began with, so {out} is that model")
    else:
        terminal.out.print(f"{out} is the model {tuned.best}, fitted to all files (hash {tuned.model.hash})")
