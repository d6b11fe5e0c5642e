"""Leave one world out: train a judge of songs on all worlds but some, score it on those, choose when to be sure on all.

    python -m tools.accuracy.leave_one_world_out OUT.npz --train gen=.5 band_a band_b piano pop909=2 STEADY broadcast
        --groups band_a,piano band_b --divided pop909 --unseen sung --kinds broadcast --folds FOLDS

(from `tests`). A world is a folder of annotated sound; `--train` says what each of its files weighs. The worlds of one
group are left out together, and beside them the files of the `--divided` worlds whose turn it is: these are scored in
folds. The `--unseen` worlds are trained on by nobody and scored by the judge that is shipped, which is trained last, on
everything. One policy a look-ahead is chosen for all worlds, by the mean over worlds and the worst of them; so is the
factor for the odds, and what is said of them. A judge that lies in the `--folds` folder is not trained again.
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
from streamseg.evaluation.thresholds import boundary_history, predict_track, score_policy
from streamseg.evaluation.timeliness import measure_timeliness, reliability_diagrams
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
CALIBRATED_ON = 12  # files of each world, so that no world outweighs the others


def main() -> None:
    """Train, score, choose, write."""
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
    kinds = fit_sound_classes([track for folder in asked.kinds for track in load_tracks(folder, asked.cache)])

    def judge(name: str, held: set[TrackTexture]) -> BoundaryModel:
        kept = asked.folds / f"{name}.npz"
        if not kept.exists():
            tracks = [track for track in weights if track not in held]
            voices = fit_singing_direction([track for track in tracks if track.truth.kind == "sections"])
            train_boundary_model(tracks, np.hstack([kinds, voices]), RECIPE, weight=weights.__getitem__).save(kept)
            print(f"trained {kept}", flush=True)
        raw = {"prior": np.array(CLOSE_LOOK_NEGATIVE_SHARE), "calibration": IDENTITY_CALIBRATION, "spacing": SPACING}
        return replace(read_boundary_model(kept.read_bytes(), kept.name), **raw)

    groups = [group.split(",") for group in asked.groups]
    tables: dict[str, list[tuple[TrackTexture, np.ndarray]]] = {}
    for number, names in enumerate(groups):
        tried = [(name, track) for name in names for track in worlds[name]]
        tried += [(name, track) for name in asked.divided for track in worlds[name][number :: len(groups)]]
        model = judge("without_" + "_".join(names), {track for _, track in tried})
        for name, track in tried:
            tables.setdefault(name, []).append((track, predict_track(track, model)))
    everything = judge("everything", set())
    for name, tracks in unseen.items():
        tables[name] = [(track, predict_track(track, everything)) for track in tracks]

    factors = [
        calibrate_prior(everything, [track for track, _ in world], [table for _, table in world], RECIPE)[0]
        for world in tables.values()
    ]
    times = float(np.exp(np.mean(np.log(factors))))
    moved = {
        name: [(track, table * times / (1 - table + table * times)) for track, table in world]
        for name, world in tables.items()
    }

    def scored(policy):
        return {
            name: score_policy(*map(list, zip(*world, strict=True)), everything, (0.0, *policy), SETTINGS)
            for name, world in moved.items()
        }

    found = {policy: scored(policy) for policy in POLICIES}
    rows = []
    for lookahead_s in LOOKAHEADS_S:
        timely = [p for p in POLICIES if max(o.delay_median_s for o in found[p].values()) <= lookahead_s]
        fastest = min(POLICIES, key=lambda p: max(o.delay_median_s for o in found[p].values()))
        best = max(
            timely or [fastest],
            key=lambda p: np.mean([o.f for o in found[p].values()]) + 0.25 * min(o.f for o in found[p].values()),
        )
        rows.append((lookahead_s, *best))
        for name, one in sorted(found[best].items(), key=lambda item: item[1].f):
            late = f"{one.delay_median_s:.1f} s / {one.delay_p90_s:.1f} s"
            figures = f"{one.f:.3f} | {one.precision:.2f} | {one.recall:.2f} | {late}"
            print(f"| {lookahead_s:g} s {best} | {name} | {figures} |", flush=True)
    model = replace(everything, prior=np.array(CLOSE_LOOK_NEGATIVE_SHARE * times), policies=np.array(rows))

    def calls(model: BoundaryModel):
        return {
            name: [
                measure_timeliness(track.truth, boundary_history(table, model, SETTINGS))
                for track, table in world[:CALIBRATED_ON]
            ]
            for name, world in moved.items()
        }

    model = replace(model, calibration=fit_calibration([call for world in calls(model).values() for call in world]))
    for name, world in calls(model).items():
        print(
            name, {what: round(diagram.error, 3) for what, diagram in reliability_diagrams(world).items()}, flush=True
        )
    model.save(asked.out)


if __name__ == "__main__":
    main()
