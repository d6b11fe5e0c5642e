"""Train a boundary model as the shipped ones were trained, and print its cross-validated scores.

    python -m tools.training.shipped_models songs OUT.npz --train DIR=1 DIR=4 --judged DIR --kinds DIR --folds DIR

trains on all annotated files of the `--train` folders, with the given weights. The policies are chosen in folds over
the `--judged` folder, by models that share no source with the files they are tested on: no file, no track of a mix, no
voice, track or jingle of a programme. The models of the folds are written to the `--folds` folder for
`tools.accuracy.figures`, with a `folds.json` that names the model for each file; a model that exists is not trained
again. With `--held DIR`, the policies are chosen on the files of that folder too, which are made of material that each
fold's model was not trained on (`tools.accuracy.held_out_mixes`).
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
    make_boundary_targets,
    train_boundary_model,
)
from streamseg.evaluation.calibration import fit_platt_scaling
from streamseg.evaluation.thresholds import (
    choose_policies,
    compute_boundary_probabilities,
    run_boundary_tracker,
    score_policy,
    score_policy_grid,
)
from streamseg.evaluation.timeliness import TimelinessCounts, measure_timeliness, summarise_timeliness
from streamseg.evaluation.tracks import TrackTexture, extract_texture
from streamseg.settings import make_settings
from tools.training.corpora.material import normalise_name
from tools.training.directions import fit_singing_direction, fit_sound_classes

_PROFILES = {"songs": make_settings("music"), "mixes": make_settings("dj"), "programmes": make_settings("broadcast")}
_FOLDS = {"songs": 5, "mixes": 5, "programmes": 2}
_SHARED_SOURCES = frozenset({"dead_air"})  # may be on both sides of a fold
_REJECTED_PROBABILITY = 1e-6  # candidates that the glance trees reject have less


def load_tracks(folder: Path, cache: Path) -> list[TrackTexture]:
    """Compute the texture of every annotated file of a folder, or read it from the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    tracks = []
    for truth in find_annotated_files(folder):
        path = cache / f"{str(truth.audio.resolve()).replace('/', '_')}.npy"
        if not path.exists():
            np.save(path, extract_texture(truth.audio).astype(np.float32))
        tracks.append(TrackTexture(truth, np.load(path).astype(np.float64), truth.audio.stem))
    return tracks


def sources_of_track(track: TrackTexture) -> frozenset[str]:
    """Return what must not be on both sides of a fold: the tracks of a mix, the sources of a programme."""
    if track.truth.kind == "transitions":
        return frozenset(span.label for span in track.truth.segments)
    path = track.truth.audio.with_suffix(".sources.tsv")
    named = {normalise_name(span.label) for span in read_spans(path)} if path.exists() else set()
    return frozenset(named - _SHARED_SOURCES)


def training_tracks(tracks: list[TrackTexture], test: list[TrackTexture]) -> tuple[list[TrackTexture], frozenset[str]]:
    """Return the tracks to train on for these test tracks, and the labels to exclude in them.

    In mixes the spans of test tracks are excluded; a programme that shares a source with a test programme is left out.
    """
    excluded = frozenset[str]().union(*map(sources_of_track, test))
    rest = [track for track in tracks if track not in test]
    train = [track for track in rest if track.truth.kind == "transitions" or not excluded & sources_of_track(track)]
    return train, excluded


def calibrate_prior(
    model: BoundaryModel, tracks: list[TrackTexture], tables: list[NDArray[np.float64]], recipe: TrainingRecipe
) -> tuple[float, list[NDArray[np.float64]]]:
    """Fit a factor for the odds so that the probabilities sum to the number of true boundaries.

    tables: probabilities of each track, shape (vectors, ages). Returns the factor and the scaled tables.
    """
    predicted, observed = [], []
    for track, table in zip(tracks, tables, strict=True):
        targets = make_boundary_targets(track, np.arange(len(table) + 1), recipe)
        steps = np.arange(1, len(table) + 1)
        for k, age in enumerate(model.ages):
            target = targets[np.maximum(steps - age, 0)]
            scored = (steps - age >= 0) & (table[:, k] > _REJECTED_PROBABILITY) & (target >= 0)
            predicted.append(table[scored, k])
            observed.append(target[scored])
    probability, total = np.concatenate(predicted), float(np.concatenate(observed).sum())
    odds = probability / (1 - probability)
    log_factor = float(brentq(lambda log: (odds * np.exp(log) / (1 + odds * np.exp(log))).sum() - total, -5, 5))
    factor = float(np.exp(log_factor))
    return factor, [table * factor / (1 - table + table * factor) for table in tables]


def fit_calibration(timeliness: list[TimelinessCounts]) -> NDArray[np.float64]:
    """Fit the calibration of stability and of confidence: rows of (slope, shift), as `BoundaryModel.calibration`."""
    stability = [(p, true) for track in timeliness for p, true, _ in track.stability]
    confidence = [pair for track in timeliness for pair in track.confidence]
    return np.array(
        [
            fit_platt_scaling(
                np.clip([p for p, _ in pairs], 1e-6, 1 - 1e-6), np.array([true for _, true in pairs], bool)
            )
            for pairs in (stability, confidence)
        ]
    )


def main() -> None:
    """Train, choose policies, print cross-validated scores, write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=list(RECIPES))
    parser.add_argument("out", type=Path, nargs="?", help="if missing, only the folds are trained")
    parser.add_argument("--train", nargs="+", required=True, metavar="DIR=WEIGHT")
    parser.add_argument("--judged", type=Path, required=True)
    parser.add_argument("--kinds", type=Path, nargs="+", required=True, help="programmes that train the sound classes")
    parser.add_argument("--folds", type=Path, required=True, help="folder for the models of the folds")
    parser.add_argument("--held", type=Path, help="more files to choose policies on, with their folds.json")
    parser.add_argument("--cache", type=Path, default=Path(".textures"))
    asked = parser.parse_args()
    recipe, settings = RECIPES[asked.kind], _PROFILES[asked.kind]
    weights: dict[TrackTexture, float] = {}
    for part in asked.train:
        folder, _, weight = part.partition("=")
        weights |= {track: float(weight or 1) for track in load_tracks(Path(folder), asked.cache)}
    programmes = [track for folder in asked.kinds for track in load_tracks(folder, asked.cache)]
    test_files = {truth.audio for truth in find_annotated_files(asked.judged)}

    def train(test: list[TrackTexture]) -> BoundaryModel:
        tracks, excluded = training_tracks(list(weights), test)
        classes = fit_sound_classes(training_tracks(programmes, test)[0])
        if asked.kind == "songs":
            classes = np.hstack(
                [classes, fit_singing_direction([track for track in tracks if track.truth.kind == "sections"])]
            )
        return train_boundary_model(tracks, classes, recipe, weight=weights.__getitem__, excluded_labels=excluded)

    test_tracks = [track for track in weights if track.truth.audio in test_files]
    folds = _FOLDS[asked.kind]
    asked.folds.mkdir(parents=True, exist_ok=True)
    fold_of = {track: k % folds for k, track in enumerate(test_tracks)}
    if asked.held:
        model_of = json.loads((asked.held / "folds.json").read_text(encoding="utf-8"))
        number = {f"fold_{k}.npz": k for k in range(folds)}
        fold_of |= {track: number[Path(model_of[track.source]).name] for track in load_tracks(asked.held, asked.cache)}
    models: list[BoundaryModel] = []
    for k in range(folds):
        path = asked.folds / f"fold_{k}.npz"
        if not path.exists():
            train(test_tracks[k::folds]).save(path)
        # An earlier run may have calibrated the model.
        uncalibrated = {"prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE), "calibration": IDENTITY_CALIBRATION}
        models.append(replace(read_boundary_model(path.read_bytes(), path.name), **uncalibrated))
    tracks = list(fold_of)
    factor, tables = calibrate_prior(
        models[0], tracks, [compute_boundary_probabilities(track, models[k]) for track, k in fold_of.items()], recipe
    )
    policies = choose_policies(score_policy_grid(tracks, tables, models[0], settings))
    for policy in policies:
        sys.stdout.write(f"{score_policy(tracks, tables, models[0], tuple(policy), settings)}\n")
    fitted = {"prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE * factor), "policies": policies}
    timeliness = [
        measure_timeliness(track.truth, run_boundary_tracker(table, replace(models[0], policies=policies), settings))
        for track, table in zip(tracks, tables, strict=True)
    ]
    fitted["calibration"] = fit_calibration(timeliness)
    for row in summarise_timeliness(timeliness):
        sys.stdout.write(f"{row}\n")
    for k, model in enumerate(models):
        replace(model, **fitted).save(asked.folds / f"fold_{k}.npz")
    names = {track.truth.audio.stem: f"fold_{i % folds}.npz" for i, track in enumerate(test_tracks)}
    (asked.folds / "folds.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
    if asked.out:
        replace(train([]), **fitted).save(asked.out)


if __name__ == "__main__":
    main()
