"""Train the exact placing of boundaries on annotated sound: a conditional logit over the frames near each boundary.

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
    describe_candidates,
    difference_curves,
    refinement_columns,
)
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files
from streamseg.evaluation.tracks import extract_frames
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP

_COARSE_ERROR_S = 0.7  # how far off the change points are, standard deviation
_TARGET_WIDTH = 4.0  # frames: a neighbour of the right frame is nearly right
_RIDGE = 3e-3

Floats = NDArray[np.float64]


def sharp_boundaries(track: AnnotatedFile) -> list[float]:
    """The boundaries that have an exact place: not those inside a crossfade."""
    if track.kind == "transitions":
        return [span.start for span in track.spans if span.label.startswith("cut")]
    return [span.start for span in track.spans[1:]]


def collect_cases(
    track: AnnotatedFile, rng: np.random.Generator, repeats: int
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """What the model is told around each boundary, searched from a place that is off by chance; and the answer."""
    seen = difference_curves(np.concatenate([refinement_columns(frames) for frames in extract_frames(track.audio)]))
    told: list[NDArray[np.float32]] = []
    answers: list[float] = []
    offsets = np.arange(-SEARCH_FRAMES, SEARCH_FRAMES + 1)
    for boundary in sharp_boundaries(track):
        true = (boundary * ENGINE_RATE - (FRAME - HOP) / 2) / HOP
        for _ in range(repeats):
            coarse = round(true + rng.normal(0, _COARSE_ERROR_S) * FRAMES_PER_SECOND)
            near = seen[max(0, coarse - SEARCH_FRAMES) : coarse + SEARCH_FRAMES + 1]
            if len(near) == len(offsets) and abs(coarse - true) <= SEARCH_FRAMES:
                told.append(describe_candidates(near, offsets).astype(np.float32))
                answers.append(true - coarse)
    return told, answers


def fit_refinement(features: NDArray[np.float32], answers: Floats) -> Floats:
    """Weights of the conditional logit. told: shape (cases, frames, inputs); answers: frames from the middle."""
    offsets = np.arange(-SEARCH_FRAMES, SEARCH_FRAMES + 1)
    target = np.exp(-0.5 * ((offsets[None] - answers[:, None]) / _TARGET_WIDTH) ** 2)
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
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    told: list[NDArray[np.float32]] = []
    answers: list[float] = []
    for folder in asked.folders:
        for track in find_annotated_files(folder):
            more, right = collect_cases(track, rng, asked.repeats)
            told += more
            answers += right
    weights = fit_refinement(np.array(told, np.float32), np.array(answers))
    np.savez_compressed(asked.out, weights=np.array([float(f"{w:.5g}") for w in weights]))


if __name__ == "__main__":
    main()
