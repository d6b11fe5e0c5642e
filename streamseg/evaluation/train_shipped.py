"""Train a judge of changes as the shipped ones were, and say how it does on sound it has not seen.

`python -m streamseg.evaluation.train_shipped songs OUT.npz --train DIR=1 DIR=4 --judged DIR --kinds DIR --folds DIR`
trains on every annotated file of the folders, each weighing as much as said. When to be sure is chosen in folds over
the `--judged` folder, by judges that have seen nothing of what they are tried on: no file, of mixes no track, of
programmes no voice, track or jingle. These judges stay in the `--folds` folder for `tests/accuracy/figures.py`, with a
`folds.json` of who has not heard what; one that lies there already is not trained again. With `--held DIR` it
is chosen over that folder's files too, made of what each fold's judge has not heard (`tests/accuracy/held_apart.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from streamseg.evaluation.annotations import annotated_files, read_spans
from streamseg.evaluation.calibration import platt
from streamseg.evaluation.generated.material import spelt
from streamseg.evaluation.policies import best_policies, judged, outcome, outcomes, sayings
from streamseg.evaluation.promptness import Promptness, promptness, summary
from streamseg.evaluation.tracks import Track, texture_of
from streamseg.evaluation.train_changes import KEPT_CLOSER, RECIPES, Recipe, kinds_of_sound, sung, train, truths
from streamseg.settings import settings_for
from streamseg.weights import AS_JUDGED, ChangeModel, read_model

_PROFILES = {"songs": settings_for("music"), "mixes": settings_for("dj"), "programmes": settings_for("broadcast")}
_FOLDS = {"songs": 5, "mixes": 5, "programmes": 2}
_SOURCELESS = frozenset({"dead_air"})  # silence is nobody's
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


def sources_of(track: Track) -> frozenset[str]:
    """Everything of a track that must not be heard on both sides of a fold: tracks of a mix, voices of a programme."""
    if track.truth.kind == "transitions":
        return frozenset(span.label for span in track.truth.segments)
    listed = track.truth.audio.with_suffix(".sources.tsv")
    named = {spelt(span.label) for span in read_spans(listed)} if listed.exists() else set()
    return frozenset(named - _SOURCELESS)


def taught(tracks: list[Track], test: list[Track]) -> tuple[list[Track], frozenset[str]]:
    """What a judge that is tried on the test tracks may learn from, and the sources that it must not hear even there.

    Of a mix the stretches of a tried track are left out; a programme with any tried voice, track or jingle is left out.
    """
    held = frozenset[str]().union(*map(sources_of, test))
    rest = [track for track in tracks if track not in test]
    return [track for track in rest if track.truth.kind == "transitions" or not held & sources_of(track)], held


def honest(
    model: ChangeModel, tracks: list[Track], tables: list[NDArray[np.float64]], recipe: Recipe
) -> tuple[float, list[NDArray[np.float64]]]:
    """What the odds are times so that, over all, as much is said as is true; and the testimonies so moved."""
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
    times = float(np.exp(factor))
    moved = [table * times / (1 - table + table * times) for table in tables]
    return times, moved


def spoken(calls: list[Promptness]) -> NDArray[np.float64]:
    """How log-odds become what is said, so that as much is true: slope and shift of stability, and of confidence."""
    stability = [(said, true) for call in calls for said, true, _ in call.stability]
    confidence = [said for call in calls for said in call.confidence]
    return np.array(
        [
            platt(np.clip([p for p, _ in said], 1e-6, 1 - 1e-6), np.array([true for _, true in said], bool))
            for said in (stability, confidence)
        ]
    )


def main() -> None:
    """Train, choose policies, print the scores of the folds, write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=list(RECIPES))
    parser.add_argument("out", type=Path, nargs="?", help="without it only the folds are trained")
    parser.add_argument("--train", nargs="+", required=True, metavar="DIR=WEIGHT")
    parser.add_argument("--judged", type=Path, required=True)
    parser.add_argument(
        "--kinds", type=Path, nargs="+", required=True, help="programmes: what kinds of sound there are"
    )
    parser.add_argument("--folds", type=Path, required=True, help="where the judges of the folds are kept")
    parser.add_argument("--held", type=Path, help="more to choose on, with a folds.json of its own")
    parser.add_argument("--cache", type=Path, default=Path(".textures"))
    asked = parser.parse_args()
    recipe, settings = RECIPES[asked.kind], _PROFILES[asked.kind]
    weights: dict[Track, float] = {}
    for part in asked.train:
        folder, _, weight = part.partition("=")
        weights |= {track: float(weight or 1) for track in tracks_of(Path(folder), asked.cache)}
    programmes = [track for folder in asked.kinds for track in tracks_of(folder, asked.cache)]
    judges = {truth.audio for truth in annotated_files(asked.judged)}

    def make(test: list[Track]) -> ChangeModel:
        tracks, held = taught(list(weights), test)
        classes = kinds_of_sound(taught(programmes, test)[0])
        if asked.kind == "songs":
            classes = np.hstack([classes, sung([track for track in tracks if track.truth.kind == "sections"])])
        return train(tracks, classes, recipe, weight=weights.__getitem__, held=held)

    unseen = [track for track in weights if track.truth.audio in judges]
    folds = _FOLDS[asked.kind]
    asked.folds.mkdir(parents=True, exist_ok=True)
    tried = {track: k % folds for k, track in enumerate(unseen)}
    if asked.held:
        judge_of = json.loads((asked.held / "folds.json").read_text(encoding="utf-8"))
        number = {f"fold_{k}.npz": k for k in range(folds)}
        tried |= {track: number[Path(judge_of[track.source]).name] for track in tracks_of(asked.held, asked.cache)}
    models: list[ChangeModel] = []
    for k in range(folds):
        kept, test = asked.folds / f"fold_{k}.npz", unseen[k::folds]
        if not kept.exists():
            make(test).save(kept)
        raw = {"prior": np.array(KEPT_CLOSER), "spoken": AS_JUDGED}  # whatever an earlier run made of them
        models.append(replace(read_model(kept.read_bytes(), kept.name), **raw))
    tracks = list(tried)
    times, tables = honest(models[0], tracks, [judged(track, models[k]) for track, k in tried.items()], recipe)
    policies = best_policies(outcomes(tracks, tables, models[0], settings))
    for row in policies:
        sys.stdout.write(f"{outcome(tracks, tables, models[0], tuple(row), settings)}\n")
    honestly = {"prior": np.array(KEPT_CLOSER * times), "policies": policies}
    calls = [
        promptness(track.truth, sayings(table, replace(models[0], policies=policies), settings))
        for track, table in zip(tracks, tables, strict=True)
    ]
    honestly["spoken"] = spoken(calls)
    for call in summary(calls):
        sys.stdout.write(f"{call}\n")
    for k, model in enumerate(models):
        replace(model, **honestly).save(asked.folds / f"fold_{k}.npz")
    names = {track.truth.audio.stem: f"fold_{i % folds}.npz" for i, track in enumerate(unseen)}
    (asked.folds / "folds.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    if asked.out:
        replace(make([]), **honestly).save(asked.out)


if __name__ == "__main__":
    main()
