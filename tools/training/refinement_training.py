"""Train the refinement of boundary times: a conditional logit over the frames near each annotated boundary.

`python -m tools.training.refinement_training OUT.npz DIR…` writes `streamseg/engine/models/refinement.npz`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from streamseg.engine.boundaries.refinement import (
    SEARCH_FRAMES,
    compute_difference_curves,
    describe_candidate_frames,
    select_refinement_columns,
)
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files
from streamseg.evaluation.tracks import extract_feature_frames
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP

_COARSE_ERROR_S = 0.7  # standard deviation of coarse boundary times
_TARGET_WIDTH = 4.0  # frames, standard deviation of the soft target
_RIDGE = 3e-3

Floats = NDArray[np.float64]


def sharp_boundaries(track: AnnotatedFile) -> list[float]:
    """Return the boundaries with an exact time, seconds; a crossfade has none."""
    if track.kind == "transitions":
        return [span.start for span in track.spans if span.label.startswith("cut")]
    return [span.start for span in track.spans[1:]]


def collect_cases(
    track: AnnotatedFile, rng: np.random.Generator, repeats: int
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Collect the candidate frames around coarse boundaries, each a true boundary plus a random error.

    Returns the features of each case, shape (frames, features), and the true position, frames from the middle.
    """
    curves = compute_difference_curves(
        np.concatenate([select_refinement_columns(frames) for frames in extract_feature_frames(track.audio)])
    )
    features: list[NDArray[np.float32]] = []
    positions: list[float] = []
    offsets = np.arange(-SEARCH_FRAMES, SEARCH_FRAMES + 1)
    for boundary in sharp_boundaries(track):
        true = (boundary * ENGINE_RATE - (FRAME - HOP) / 2) / HOP
        for _ in range(repeats):
            coarse = round(true + rng.normal(0, _COARSE_ERROR_S) * FRAMES_PER_SECOND)
            rows = curves[max(0, coarse - SEARCH_FRAMES) : coarse + SEARCH_FRAMES + 1]
            if len(rows) == len(offsets) and abs(coarse - true) <= SEARCH_FRAMES:
                features.append(describe_candidate_frames(rows, offsets).astype(np.float32))
                positions.append(true - coarse)
    return features, positions


def fit_refinement(features: NDArray[np.float32], positions: Floats) -> Floats:
    """Fit the weights of a conditional logit with soft targets and a ridge, which scikit-learn does not have.

    Parameters
    ----------
    features
        Shape (cases, frames, features).
    positions
        Shape (cases,), the true frame, counted from the middle one.

    Returns
    -------
    NDArray
        Shape (features,).
    """
    offsets = np.arange(-SEARCH_FRAMES, SEARCH_FRAMES + 1)
    target = np.exp(-0.5 * ((offsets[None] - positions[:, None]) / _TARGET_WIDTH) ** 2)
    target /= target.sum(axis=1, keepdims=True)
    mean, std = features.mean(axis=(0, 1)), features.std(axis=(0, 1))
    scaled = (features - mean) / std

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = scaled @ weights.astype(np.float32)
        probability = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
        value = -(target * np.log(probability + 1e-12)).sum() / len(scaled) + _RIDGE * weights @ weights
        slope = np.tensordot(probability - target, scaled, ((0, 1), (0, 1))) / len(scaled) + 2 * _RIDGE * weights
        return float(value), slope

    found = minimize(loss, np.zeros(features.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    weights: Floats = found.x / std
    return weights


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=2, help="cases for each boundary")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    features: list[NDArray[np.float32]] = []
    positions: list[float] = []
    for track in (track for folder in asked.folders for track in find_annotated_files(folder)):
        track_features, track_positions = collect_cases(track, rng, asked.repeats)
        features += track_features
        positions += track_positions
    weights = fit_refinement(np.array(features, np.float32), np.array(positions))
    np.savez_compressed(asked.out, weights=np.array([float(f"{w:.5g}") for w in weights]))


if __name__ == "__main__":
    main()
