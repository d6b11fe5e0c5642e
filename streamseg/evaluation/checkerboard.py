"""The causal checkerboard: what a page of NumPy finds, to hold every figure of ours against.

Novelty of Foote (2000), heard as it happens: the texture's timbre is standardised by the mean and deviation of the
stream so far; the similarity of the last 2 × `HALF_S` is weighed by a checkerboard with a Gaussian taper; a change is
a peak within `NEAR_S` that exceeds the running mean of the novelty by `_DEVIATIONS` deviations. Nothing is trained.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STEP_S, TIMBRE
from streamseg.evaluation.evaluate import TrackPredictions
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.tracks import extract_texture, step_end_time, step_to_time

Floats = NDArray[np.float64]

HALF_S, NEAR_S = 10.0, 5.0
_MFCC = TIMBRE[:20]
_DEVIATIONS = 0.5
_LEAST_VARIANCE = 1e-3


def estimate_boundaries(path: Path) -> TrackPredictions:
    """The changes in a sound file."""
    return pick_boundaries(extract_texture(path))


def pick_boundaries(vectors: Floats, half_s: float = HALF_S, near_s: float = NEAR_S) -> TrackPredictions:
    """The changes in a file's texture, shape (n, VECTOR_DIMS), as `texture_of` gives it.

    half_s: seconds compared on either side of a change. near_s: seconds within which a peak is the highest.
    """
    timbre = vectors[:, _MFCC]
    half, near = round(half_s / STEP_S), round(near_s / STEP_S)
    taper = np.exp(-0.5 * ((np.arange(half) + 0.5) / (0.5 * half)) ** 2)
    weights = np.outer(taper, taper) / taper.sum() ** 2
    sums = np.concatenate([np.zeros((1, len(_MFCC))), timbre.cumsum(axis=0)])
    squares = np.concatenate([np.zeros((1, len(_MFCC))), (timbre**2).cumsum(axis=0)])
    novelty = np.full(len(timbre) + 1, -np.inf)
    found = []
    for heard in range(2 * half, len(timbre) + 1):
        variance = squares[heard] / heard - (sums[heard] / heard) ** 2
        recent = timbre[heard - 2 * half : heard] / np.sqrt(np.maximum(variance, _LEAST_VARIANCE))
        before, after = recent[:half][::-1], recent[half:]
        middle, peak = heard - half, heard - half - near
        alike = 0.5 * (_similarity(before, before) + _similarity(after, after)) - _similarity(before, after)
        novelty[middle] = np.sum(weights * alike)
        if peak < half or novelty[peak] < novelty[max(0, peak - near) : peak + near + 1].max():
            continue
        so_far = novelty[half : middle + 1]
        if novelty[peak] > so_far.mean() + _DEVIATIONS * so_far.std():
            found.append(DetectedBoundary(float(step_to_time(peak)), step_end_time(heard)))
    return TrackPredictions(step_end_time(len(timbre)), tuple(found), ())


def _similarity(a: Floats, b: Floats) -> Floats:
    """Gaussian kernel of the mean squared difference, shape (len(a), len(b))."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    similarity: Floats = np.exp(-np.maximum(squares, 0.0) / a.shape[1])
    return similarity
