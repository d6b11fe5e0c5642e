"""The causal checkerboard: an untrained baseline to compare our scores with.

Novelty of Foote (2000), computed causally: the timbre of the texture is divided by the standard deviation of the
stream so far; the similarity matrix of the last 2 × `HALF_S` is weighted by a checkerboard with a Gaussian taper; a
boundary is the highest peak within `NEAR_S` that exceeds the running mean of the novelty by `_STD_FACTOR` standard
deviations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STEP_S, TIMBRE
from streamseg.evaluation.evaluate import TrackPredictions
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.tracks import extract_texture, step_to_time, time_after_steps

Floats = NDArray[np.float64]

HALF_S, NEAR_S = 10.0, 5.0
_MFCC = TIMBRE[:20]
_STD_FACTOR = 0.5
_MIN_VARIANCE = 1e-3


def detect_file_boundaries(path: Path) -> TrackPredictions:
    """Detect the boundaries in a sound file with the checkerboard baseline (Foote 2000); no labels are predicted."""
    return detect_texture_boundaries(extract_texture(path))


def detect_texture_boundaries(vectors: Floats) -> TrackPredictions:
    """Detect the boundaries in the texture vectors of a file with the checkerboard baseline (Foote 2000).

    Parameters
    ----------
    vectors
        Shape (n, VECTOR_DIMS), from `extract_texture`.
    """
    timbre = vectors[:, _MFCC]
    half, near = round(HALF_S / STEP_S), round(NEAR_S / STEP_S)
    taper = np.exp(-0.5 * ((np.arange(half) + 0.5) / (0.5 * half)) ** 2)
    weights = np.outer(taper, taper) / taper.sum() ** 2
    sums = np.concatenate([np.zeros((1, len(_MFCC))), timbre.cumsum(axis=0)])
    squares = np.concatenate([np.zeros((1, len(_MFCC))), (timbre**2).cumsum(axis=0)])
    novelty = np.full(len(timbre) + 1, -np.inf)
    boundaries = []
    for step in range(2 * half, len(timbre) + 1):
        variance = squares[step] / step - (sums[step] / step) ** 2
        recent = timbre[step - 2 * half : step] / np.sqrt(np.maximum(variance, _MIN_VARIANCE))
        before, after = recent[:half][::-1], recent[half:]
        middle, peak = step - half, step - half - near
        contrast = 0.5 * (_similarity(before, before) + _similarity(after, after)) - _similarity(before, after)
        novelty[middle] = np.sum(weights * contrast)
        if peak < half or novelty[peak] < novelty[max(0, peak - near) : peak + near + 1].max():
            continue
        so_far = novelty[half : middle + 1]
        if novelty[peak] > so_far.mean() + _STD_FACTOR * so_far.std():
            boundaries.append(DetectedBoundary(float(step_to_time(peak)), time_after_steps(step)))
    return TrackPredictions(time_after_steps(len(timbre)), tuple(boundaries), ())


def _similarity(a: Floats, b: Floats) -> Floats:
    """Compute the Gaussian kernel of the mean squared difference, shape (len(a), len(b))."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    similarity: Floats = np.exp(-np.maximum(squares, 0.0) / a.shape[1])
    return similarity
