"""Accuracy of the whole program on annotated sound, in folds, as Markdown for docs/accuracy.md.

    python -m tools.accuracy.figures FOLDER --profile dj --folds FOLDS [--lookahead 2]… [--pictures OUT]

FOLDS has a model for each fold and a `folds.json` that names, for each file's stem, the model that was trained without
it; without --folds the shipped model is used, which was trained on the development sound. Prints a table of the scores
at every look-ahead (the profile's own first), then the summary of `streamseg evaluate` at the first one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from streamseg.engine.models.weights import BoundaryModel, read_boundary_model
from streamseg.evaluation import evaluate_folder
from streamseg.evaluation.evaluate import Evaluation
from streamseg.evaluation.plots import draw_evaluation
from streamseg.evaluation.scores import bootstrap_interval
from streamseg.settings import PROFILES, make_settings


class Folds(dict[str, BoundaryModel]):
    """The models of the folds: for each file's stem the one that was trained without it."""

    def __init__(self, folder: Path) -> None:
        names = json.loads((folder / "folds.json").read_text())
        models = {name: read_boundary_model((folder / name).read_bytes(), name) for name in set(names.values())}
        super().__init__({stem: models[name] for stem, name in names.items()})


def table_row(lookahead_s: float, evaluation: Evaluation) -> str:
    """Format look-ahead, F with its interval, F at 0.5 s, precision, recall, false alarms an hour, delay."""
    tracks = evaluation.tracks

    def mean(name: str) -> str:
        values = [value for track in tracks if (value := getattr(track, name)) is not None]
        return f"{np.mean(values):.3f}" if values else "–"

    low, high = bootstrap_interval([track.f for track in tracks])
    hours = sum(track.duration_s for track in tracks) / 3600
    alarms = sum(track.false_alarms_per_h * track.duration_s for track in tracks) / 3600 / hours
    delays = [delay for track in tracks for delay in track.delays_s] or [float("nan")]
    parts = [f"{lookahead_s:g} s", f"{mean('f')} ({low:.3f} to {high:.3f})", mean("f_05"), mean("f_untrimmed")]
    parts += [mean("precision"), mean("recall"), f"{alarms:.1f}"]
    parts += [f"{np.median(delays):.1f} s / {np.percentile(delays, 90):.1f} s"]
    return f"| {' | '.join(parts)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", choices=PROFILES, required=True)
    parser.add_argument("--truth", choices=("auto", "sections", "transitions", "segments"), default="auto")
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--lookahead", type=float, action="append", default=[])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    model = Folds(asked.folds) if asked.folds else None
    own = make_settings(asked.profile).lookahead_s
    print(
        "| look-ahead | F (3 s) | F (0.5 s) | F (3 s), untrimmed | precision | recall | false/h | delay, median / p90 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    first: Evaluation | None = None
    for lookahead_s in [own, *asked.lookahead]:
        settings = make_settings(asked.profile, lookahead_s=lookahead_s)
        evaluation = evaluate_folder(
            asked.folder, settings, truth=asked.truth, model=model, jobs=asked.jobs,
            progress=lambda number, total, name: print(f"{number}/{total} {name}", file=sys.stderr, flush=True),
        )  # fmt: skip
        print(table_row(lookahead_s, evaluation), flush=True)
        first = first or evaluation
    assert first is not None
    print()
    for title, value, interval in first.summary_rows():
        print(f"| {title} | {value} | {interval} |")
    if asked.pictures:
        draw_evaluation(first, asked.pictures)


if __name__ == "__main__":
    main()
