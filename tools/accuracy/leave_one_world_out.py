"""Train the boundary model of songs, cross-validated by leaving worlds out.

    python -m tools.accuracy.leave_one_world_out OUT.npz --train gen=.5 band_a band_b piano pop909=2 STEADY broadcast
        --groups band_a,piano band_b --divided pop909 --unseen sung --kinds broadcast --folds FOLDS

A world is a folder of annotated sound; `--train` gives the weight of its files. The worlds of one group are left out
together, with one fold of the files of each `--divided` world. The `--unseen` worlds are in no training set and are
scored by the final model, which is trained last, on everything. One policy for each look-ahead is chosen for all
worlds, by the mean over worlds and the worst world; the factor of the odds and the calibration are fitted to all worlds
too. A model that exists in the `--folds` folder is not trained again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamseg.engine.models.weights import IDENTITY_CALIBRATION, BoundaryModel, read_boundary_model
from streamseg.evaluation.boundary_training import (
    CLOSE_LOOK_NEGATIVE_SHARE,
    RECIPES,
    train_boundary_model,
)
from streamseg.evaluation.thresholds import compute_boundary_probabilities, run_boundary_tracker, score_policy
from streamseg.evaluation.timeliness import make_reliability_diagrams, measure_timeliness
from streamseg.evaluation.tracks import TrackTexture
from streamseg.settings import make_settings
from tools.training.directions import fit_singing_direction, fit_sound_classes
from tools.training.shipped_models import calibrate_prior, fit_calibration, load_tracks

SETTINGS, RECIPE = make_settings("music"), RECIPES["songs"]
LOOKAHEADS_S = (2.0, 5.0, 10.0, 20.0)
POLICIES = [
    (threshold, rise, youngest)
    for threshold in (0.06, 0.1, 0.15, 0.2, 0.25, 0.3)
    for rise in (0.3, 0.6, 0.8, 0.95)
    for youngest in (3.0, 8.0)
]
SPACING = np.array([0.6, 24.0])  # see `BoundaryModel.spacing`
CALIBRATION_FILES = 12  # of each world, so that all worlds have equal weight


def main() -> None:
    """Train, score, choose policies, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", nargs="+", required=True, metavar="DIR[=WEIGHT]")
    parser.add_argument("--groups", nargs="+", required=True, metavar="NAME,NAME")
    parser.add_argument("--divided", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--unseen", nargs="*", type=Path, default=[], metavar="DIR")
    parser.add_argument("--kinds", type=Path, nargs="+", required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(".textures"))
    asked = parser.parse_args()
    asked.folds.mkdir(parents=True, exist_ok=True)
    weights: dict[TrackTexture, float] = {}
    worlds: dict[str, list[TrackTexture]] = {}
    for part in asked.train:
        folder, _, weight = part.partition("=")
        worlds[Path(folder).name] = load_tracks(Path(folder), asked.cache)
        weights |= dict.fromkeys(worlds[Path(folder).name], float(weight or 1))
    unseen = {folder.name: load_tracks(folder, asked.cache) for folder in asked.unseen}
    classes = fit_sound_classes([track for folder in asked.kinds for track in load_tracks(folder, asked.cache)])

    def train_or_read(name: str, test: set[TrackTexture]) -> BoundaryModel:
        path = asked.folds / f"{name}.npz"
        if not path.exists():
            tracks = [track for track in weights if track not in test]
            singing = fit_singing_direction([track for track in tracks if track.truth.kind == "sections"])
            train_boundary_model(tracks, np.hstack([classes, singing]), RECIPE, weight=weights.__getitem__).save(path)
            print(f"trained {path}", flush=True)
        uncalibrated = {
            "prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE),
            "calibration": IDENTITY_CALIBRATION,
            "spacing": SPACING,
        }
        return replace(read_boundary_model(path.read_bytes(), path.name), **uncalibrated)

    groups = [group.split(",") for group in asked.groups]
    tables: dict[str, list[tuple[TrackTexture, np.ndarray]]] = {}
    for number, names in enumerate(groups):
        test = [(name, track) for name in names for track in worlds[name]]
        test += [(name, track) for name in asked.divided for track in worlds[name][number :: len(groups)]]
        model = train_or_read("without_" + "_".join(names), {track for _, track in test})
        for name, track in test:
            tables.setdefault(name, []).append((track, compute_boundary_probabilities(track, model)))
    everything = train_or_read("everything", set())
    for name, tracks in unseen.items():
        tables[name] = [(track, compute_boundary_probabilities(track, everything)) for track in tracks]

    factors = [
        calibrate_prior(everything, [track for track, _ in world], [table for _, table in world], RECIPE)[0]
        for world in tables.values()
    ]
    factor = float(np.exp(np.mean(np.log(factors))))
    scaled = {
        name: [(track, table * factor / (1 - table + table * factor)) for track, table in world]
        for name, world in tables.items()
    }

    def score_worlds(policy):
        return {
            name: score_policy(*map(list, zip(*world, strict=True)), everything, (0.0, *policy), SETTINGS)
            for name, world in scaled.items()
        }

    world_scores = {policy: score_worlds(policy) for policy in POLICIES}
    rows = []
    for lookahead_s in LOOKAHEADS_S:
        timely = [p for p in POLICIES if max(o.delay_median_s for o in world_scores[p].values()) <= lookahead_s]
        fastest = min(POLICIES, key=lambda p: max(o.delay_median_s for o in world_scores[p].values()))
        best = max(
            timely or [fastest],
            key=lambda p: (
                np.mean([o.f for o in world_scores[p].values()]) + 0.25 * min(o.f for o in world_scores[p].values())
            ),
        )
        rows.append((lookahead_s, *best))
        for name, one in sorted(world_scores[best].items(), key=lambda item: item[1].f):
            delay = f"{one.delay_median_s:.1f} s / {one.delay_p90_s:.1f} s"
            figures = f"{one.f:.3f} | {one.precision:.2f} | {one.recall:.2f} | {delay}"
            print(f"| {lookahead_s:g} s {best} | {name} | {figures} |", flush=True)
    model = replace(everything, prior=np.array(CLOSE_LOOK_NEGATIVE_SHARE * factor), policies=np.array(rows))

    def measure_worlds(model: BoundaryModel):
        return {
            name: [
                measure_timeliness(track.truth, run_boundary_tracker(table, model, SETTINGS))
                for track, table in world[:CALIBRATION_FILES]
            ]
            for name, world in scaled.items()
        }

    model = replace(
        model, calibration=fit_calibration([track for world in measure_worlds(model).values() for track in world])
    )
    for name, world in measure_worlds(model).items():
        print(
            name,
            {title: round(diagram.calibration_error, 3) for title, diagram in make_reliability_diagrams(world).items()},
            flush=True,
        )
    model.save(asked.out)


if __name__ == "__main__":
    main()
