"""Train a judge of changes as the shipped ones were, and say how it does on sound it has not seen.

`python -m tools.training.shipped_models songs OUT.npz --train DIR=1 DIR=4 --judged DIR --kinds DIR --folds DIR`
trains on every annotated file of the folders, each weighing as much as said. When to be sure is chosen in folds over
the `--judged` folder, by judges that have seen nothing of what they are tried on: no file, of mixes no track, of
programmes no voice, track or jingle. These judges stay in the `--folds` folder for `tools/accuracy/figures.py`, with a
`folds.json` of who has not heard what; one that lies there already is not trained again. With `--held DIR` it
is chosen over that folder's files too, made of what each fold's classifier was not trained on
(`tools/accuracy/held_out_mixes.py`).
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

from streamseg.engine.models.weights import IDENTITY_CALIBRATION, BoundaryModel, read_boundary_model
from streamseg.evaluation.annotations import find_annotated_files, read_spans
from streamseg.evaluation.boundary_training import (
    CLOSE_LOOK_NEGATIVE_SHARE,
    RECIPES,
    TrainingRecipe,
    boundary_targets,
    train_boundary_model,
)
from streamseg.evaluation.calibration import fit_platt
from streamseg.evaluation.thresholds import (
    boundary_history,
    choose_policies,
    predict_track,
    score_policies,
    score_policy,
)
from streamseg.evaluation.timeliness import TimelinessCounts, measure_timeliness, summarise_timeliness
from streamseg.evaluation.tracks import TrackTexture, extract_texture
from streamseg.settings import make_settings
from tools.training.corpora.material import normalise_name
from tools.training.directions import fit_singing_direction, fit_sound_classes

_PROFILES = {"songs": make_settings("music"), "mixes": make_settings("dj"), "programmes": make_settings("broadcast")}
_FOLDS = {"songs": 5, "mixes": 5, "programmes": 2}
_SOURCELESS = frozenset({"dead_air"})  # silence is nobody's
_REJECTED_PROBABILITY = 1e-6  # less likely than this is what was not looked at closely


def load_tracks(folder: Path, cache: Path) -> list[TrackTexture]:
    """Every annotated file of a folder; what was heard of it is kept in the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for truth in find_annotated_files(folder):
        kept = cache / f"{str(truth.audio.resolve()).replace('/', '_')}.npy"
        if not kept.exists():
            np.save(kept, extract_texture(truth.audio).astype(np.float32))
        found.append(TrackTexture(truth, np.load(kept).astype(np.float64), truth.audio.stem))
    return found


def sources_of_track(track: TrackTexture) -> frozenset[str]:
    """Everything of a track that must not be heard on both sides of a fold: tracks of a mix, voices of a programme."""
    if track.truth.kind == "transitions":
        return frozenset(span.label for span in track.truth.segments)
    listed = track.truth.audio.with_suffix(".sources.tsv")
    named = {normalise_name(span.label) for span in read_spans(listed)} if listed.exists() else set()
    return frozenset(named - _SOURCELESS)


def training_tracks(tracks: list[TrackTexture], test: list[TrackTexture]) -> tuple[list[TrackTexture], frozenset[str]]:
    """What a judge that is tried on the test tracks may learn from, and the sources that it must not hear even there.

    Of a mix the stretches of a tried track are left out; a programme with any tried voice, track or jingle is left out.
    """
    held = frozenset[str]().union(*map(sources_of_track, test))
    rest = [track for track in tracks if track not in test]
    return [track for track in rest if track.truth.kind == "transitions" or not held & sources_of_track(track)], held


def calibrate_prior(
    model: BoundaryModel, tracks: list[TrackTexture], tables: list[NDArray[np.float64]], recipe: TrainingRecipe
) -> tuple[float, list[NDArray[np.float64]]]:
    """What the odds are times so that, over all, as much is said as is true; and the testimonies so moved."""
    said, true = [], []
    for track, table in zip(tracks, tables, strict=True):
        answers = boundary_targets(track, np.arange(len(table) + 1), recipe)
        steps = np.arange(1, len(table) + 1)
        for k, age in enumerate(model.ages):
            heard = (steps - age >= 0) & (table[:, k] > _REJECTED_PROBABILITY)
            answer = answers[np.maximum(steps - age, 0)]
            said.append(table[heard & (answer >= 0), k])
            true.append(answer[heard & (answer >= 0)])
    probability, changes = np.concatenate(said), float(np.concatenate(true).sum())
    odds = probability / (1 - probability)
    factor = float(brentq(lambda log: (odds * np.exp(log) / (1 + odds * np.exp(log))).sum() - changes, -5, 5))
    times = float(np.exp(factor))
    moved = [table * times / (1 - table + table * times) for table in tables]
    return times, moved


def fit_calibration(calls: list[TimelinessCounts]) -> NDArray[np.float64]:
    """How log-odds become what is said, so that as much is true: slope and shift of stability, and of confidence."""
    stability = [(said, true) for call in calls for said, true, _ in call.stability]
    confidence = [said for call in calls for said in call.confidence]
    return np.array(
        [
            fit_platt(np.clip([p for p, _ in said], 1e-6, 1 - 1e-6), np.array([true for _, true in said], bool))
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
    weights: dict[TrackTexture, float] = {}
    for part in asked.train:
        folder, _, weight = part.partition("=")
        weights |= {track: float(weight or 1) for track in load_tracks(Path(folder), asked.cache)}
    programmes = [track for folder in asked.kinds for track in load_tracks(folder, asked.cache)]
    classifiers = {truth.audio for truth in find_annotated_files(asked.judged)}

    def make(test: list[TrackTexture]) -> BoundaryModel:
        tracks, held = training_tracks(list(weights), test)
        classes = fit_sound_classes(training_tracks(programmes, test)[0])
        if asked.kind == "songs":
            classes = np.hstack(
                [classes, fit_singing_direction([track for track in tracks if track.truth.kind == "sections"])]
            )
        return train_boundary_model(tracks, classes, recipe, weight=weights.__getitem__, excluded_labels=held)

    unseen = [track for track in weights if track.truth.audio in classifiers]
    folds = _FOLDS[asked.kind]
    asked.folds.mkdir(parents=True, exist_ok=True)
    tried = {track: k % folds for k, track in enumerate(unseen)}
    if asked.held:
        classifier_of = json.loads((asked.held / "folds.json").read_text(encoding="utf-8"))
        number = {f"fold_{k}.npz": k for k in range(folds)}
        tried |= {
            track: number[Path(classifier_of[track.source]).name] for track in load_tracks(asked.held, asked.cache)
        }
    models: list[BoundaryModel] = []
    for k in range(folds):
        kept, test = asked.folds / f"fold_{k}.npz", unseen[k::folds]
        if not kept.exists():
            make(test).save(kept)
        raw = {
            "prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE),
            "calibration": IDENTITY_CALIBRATION,
        }  # whatever an earlier run made of them
        models.append(replace(read_boundary_model(kept.read_bytes(), kept.name), **raw))
    tracks = list(tried)
    times, tables = calibrate_prior(
        models[0], tracks, [predict_track(track, models[k]) for track, k in tried.items()], recipe
    )
    policies = choose_policies(score_policies(tracks, tables, models[0], settings))
    for row in policies:
        sys.stdout.write(f"{score_policy(tracks, tables, models[0], tuple(row), settings)}\n")
    honestly = {"prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE * times), "policies": policies}
    calls = [
        measure_timeliness(track.truth, boundary_history(table, replace(models[0], policies=policies), settings))
        for track, table in zip(tracks, tables, strict=True)
    ]
    honestly["calibration"] = fit_calibration(calls)
    for call in summarise_timeliness(calls):
        sys.stdout.write(f"{call}\n")
    for k, model in enumerate(models):
        replace(model, **honestly).save(asked.folds / f"fold_{k}.npz")
    names = {track.truth.audio.stem: f"fold_{i % folds}.npz" for i, track in enumerate(unseen)}
    (asked.folds / "folds.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    if asked.out:
        replace(make([]), **honestly).save(asked.out)


if __name__ == "__main__":
    main()
