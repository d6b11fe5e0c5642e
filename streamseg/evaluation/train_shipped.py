"""Train a judge of changes as the shipped ones were, and say how it does on sound it has not seen.

`python -m streamseg.evaluation.train_shipped songs OUT.npz --train DIR=1 DIR=4 --judged DIR --kinds DIR` trains on
every annotated file of the folders, each weighing as much as said. When to be sure is chosen in five folds over the
`--judged` folder, by judges that have seen nothing of what they are tried on: no file, and of mixes no track.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from streamseg.evaluation.annotations import annotated_files
from streamseg.evaluation.policies import best_policies, judged, outcome, outcomes
from streamseg.evaluation.tracks import Track, texture_of
from streamseg.evaluation.train_changes import RECIPES, Recipe, kinds_of_sound, sung, train, truths
from streamseg.settings import settings_for
from streamseg.weights import ChangeModel

_PROFILES = {"songs": settings_for("music"), "mixes": settings_for("dj"), "programmes": settings_for("broadcast")}
_FOLDS = 5
_DISMISSED = 1e-6  # less likely than this is what was not looked at closely


def tracks_of(folder: Path, cache: Path) -> list[Track]:
    """Every annotated file of a folder; what was heard of it is kept in the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for truth in annotated_files(folder):
        kept = cache / f"{str(truth.audio.resolve()).replace('/', '_')}.npy"
        if not kept.exists():
            np.save(kept, texture_of(truth.audio).astype(np.float32))
        found.append(Track(truth, np.load(kept).astype(np.float64), truth.audio.stem))
    return found


def fold(
    test: list[Track], rest: list[Track], make: Callable[[list[Track], frozenset[str]], ChangeModel]
) -> list[NDArray[np.float64]]:
    """What a judge says of the test tracks that was trained on the rest, with nothing of the same source."""
    held = frozenset(span.label for track in test if track.truth.kind == "transitions" for span in track.truth.segments)
    model = make(rest, held)
    return [judged(track, model) for track in test]


def honest(
    model: ChangeModel, tracks: list[Track], tables: list[NDArray[np.float64]], recipe: Recipe
) -> tuple[ChangeModel, list[NDArray[np.float64]]]:
    """The model and the testimonies with the odds moved to where, over all, as much is said as is true."""
    said, true = [], []
    for track, table in zip(tracks, tables, strict=True):
        answers = truths(track, np.arange(len(table) + 1), recipe)
        steps = np.arange(1, len(table) + 1)
        for k, age in enumerate(model.ages):
            heard = (steps - age >= 0) & (table[:, k] > _DISMISSED)
            answer = answers[np.maximum(steps - age, 0)]
            said.append(table[heard & (answer >= 0), k])
            true.append(answer[heard & (answer >= 0)])
    probability, changes = np.concatenate(said), float(np.concatenate(true).sum())
    odds = probability / (1 - probability)
    factor = float(brentq(lambda log: (odds * np.exp(log) / (1 + odds * np.exp(log))).sum() - changes, -5, 5))
    times = np.exp(factor)
    moved = [table * times / (1 - table + table * times) for table in tables]
    return replace(model, prior=model.prior * times), moved


def main() -> None:
    """Train, choose policies, print the scores of the folds, write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=list(RECIPES))
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", nargs="+", required=True, metavar="DIR=WEIGHT")
    parser.add_argument("--judged", type=Path, required=True)
    parser.add_argument(
        "--kinds", type=Path, nargs="+", required=True, help="programmes: what kinds of sound there are"
    )
    parser.add_argument("--cache", type=Path, default=Path(".textures"))
    asked = parser.parse_args()
    recipe, settings = RECIPES[asked.kind], _PROFILES[asked.kind]
    weights: dict[Track, float] = {}
    for part in asked.train:
        folder, _, weight = part.partition("=")
        weights |= {track: float(weight or 1) for track in tracks_of(Path(folder), asked.cache)}
    programmes = [track for folder in asked.kinds for track in tracks_of(folder, asked.cache)]
    judges = {truth.audio for truth in annotated_files(asked.judged)}

    def make(tracks: list[Track], held: frozenset[str]) -> ChangeModel:
        classes = kinds_of_sound(programmes)
        if asked.kind == "songs":
            classes = np.hstack([classes, sung([track for track in tracks if track.truth.kind == "sections"])])
        return train(tracks, classes, recipe, weight=weights.__getitem__, held=held)

    unseen = [track for track in weights if track.truth.audio in judges]
    testimony: dict[Track, NDArray[np.float64]] = {}
    for k in range(_FOLDS):
        test = unseen[k::_FOLDS]
        said = fold(test, [track for track in weights if track not in test], make)
        testimony |= dict(zip(test, said, strict=True))
    model = make(list(weights), frozenset())
    model, tables = honest(model, unseen, [testimony[track] for track in unseen], recipe)
    model = replace(model, policies=best_policies(outcomes(unseen, tables, model, settings)))
    for row in model.policies:
        sys.stdout.write(f"{outcome(unseen, tables, model, tuple(row), settings)}\n")
    model.save(asked.out)


if __name__ == "__main__":
    main()
