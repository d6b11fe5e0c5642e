"""Measures how much the sound changed: across a boundary, by group of features; and in the last seconds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, LEVEL, RHYTHM, STEP_S, TEXTURE_DIMS, TIMBRE
from streamseg.wire.events import FeatureDistances

COMPARED_STEPS: Final = round(8.0 / STEP_S)  # on either side of a boundary
NOVELTY_THRESHOLD: Final = 0.7  # most boundaries lie above it, and one in ten of all other moments
_NOVELTY_STEPS: Final = (16, 8)  # how many vectors are compared with how many after them


def measure_feature_distances(vectors: NDArray[np.float64], middle: int) -> FeatureDistances:
    """Return how much timbre, harmony, rhythm and level differ (0 to 1) between the 8 s before and after row `middle`.

    vectors: texture vectors, shape (n, VECTOR_DIMS). All distances are 0 if either side is empty. The distance of a
    group of features is 1 - exp(-m), m the mean square of the differences of its means: 0 for no difference, near 1 for
    sounds that have nothing in common.
    """
    before = vectors[max(0, middle - COMPARED_STEPS) : middle]
    after = vectors[middle : middle + COMPARED_STEPS]
    if len(before) == 0 or len(after) == 0:
        return FeatureDistances(timbre=0.0, harmony=0.0, rhythm=0.0, level=0.0)
    difference = after.mean(axis=0) - before.mean(axis=0)

    def distance(dims: NDArray[np.int_]) -> float:
        return round(float(1.0 - np.exp(-np.mean(difference[dims] ** 2))), 3)

    return FeatureDistances(
        timbre=distance(TIMBRE), harmony=distance(HARMONY), rhythm=distance(RHYTHM), level=distance(LEVEL)
    )


def measure_recent_change(vectors: NDArray[np.float64]) -> float:
    """Return how much the sound of the last 4 s differs from the 8 s before, in standard deviations; 0 if too short.

    vectors: texture vectors, shape (n, VECTOR_DIMS), the latest last. Too short: less than 12 s.
    """
    n_before, n_after = _NOVELTY_STEPS
    if len(vectors) < n_before + n_after:
        return 0.0
    recent = vectors[-(n_before + n_after) :, :TEXTURE_DIMS]
    difference = recent[n_before:].mean(axis=0) - recent[:n_before].mean(axis=0)
    return float(np.sqrt(np.mean(difference**2)))
