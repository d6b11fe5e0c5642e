"""`streamseg evaluate`: how good it is on annotated sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from streamseg.cli.options import LookaheadOption, ModelOption, ProfileOption, SetOption, chosen_model, chosen_settings

EXAMPLES = """Examples:

streamseg evaluate songs --truth sections

streamseg evaluate mixes --profile dj --csv mixes.csv --jobs 2
"""


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Sound files, each with its truth beside it: start, end, label, separated by tabs."
        ),
    ],
    truth: Annotated[
        Literal["auto", "sections", "transitions", "segments"],
        typer.Option(help="Which truth: NAME.sections.tsv and so on; auto takes the most telling one there is."),
    ] = "auto",
    profile: ProfileOption = "music",
    lookahead: LookaheadOption = None,
    changes: SetOption = None,
    model: ModelOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one row a track as well.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
) -> None:
    """Score what is found against what is true: changes, how late they were known, labels."""
    from rich.table import Table

    from streamseg.cli import terminal
    from streamseg.evaluation import evaluate

    def progress(done: int, total: int, name: str) -> None:
        terminal.err.print(f"{done}/{total} {name}")

    settings = chosen_settings(profile, changes, lookahead)
    evaluation = evaluate(folder, settings, truth=truth, model=chosen_model(model), jobs=jobs, progress=progress)
    table = Table("figure", "mean over tracks", "95 %", box=None)
    for row in evaluation.summary():
        table.add_row(*row)
    terminal.out.print(table)
    if csv is not None:
        evaluation.write_csv(csv)
