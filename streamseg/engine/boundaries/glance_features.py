"""Computes the first-glance features of a boundary candidate: novelty, partition, level steps, class directions.

candidate: the first vector of the section that would begin. end: one past the newest vector. age: end - candidate.
Each function writes to out[at], out[at + 1], … (float64, a row of `CandidateFeaturesAndScores.features`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from streamseg.engine.boundaries.running_sums import (
    HORIZON,
    PENALTIES,
    PENALTY_SPACE,
    SPACES,
    SPANS,
    SPLIT_OFFSETS,
    SPLIT_REACH,
    Floats,
    RunningSums,
)
from streamseg.engine.features.texture import LEVEL_DIMS
from streamseg.engine.kernels import subkernel

_CLASS_SPANS = np.array([2, 6, 16])
_SIGNED_SPANS = np.array([2, 8, 32, 128])
_SIGNED_DIMS = np.array([0, 1, 4])  # level, onset, standard deviation of level
_PATH_REACH: Final = 6  # vectors within which a change of the best path counts
_NO_PATH_DISTANCE: Final = 20  # written where there is none
_MAX_PATH_AGE: Final = 40

N_NOVELTY: Final = 3 * len(SPANS) + 2  # features per space
N_FIXED: Final = SPACES * N_NOVELTY + 5 * len(PENALTIES) + len(_SIGNED_SPANS) * len(_SIGNED_DIMS) + 5
N_PER_CLASS: Final = 2 * len(_CLASS_SPANS)


@subkernel
def write_novelty(
    candidate: int, end: int, space: int, first_dim: int, end_dim: int, state: RunningSums, out: Floats, at: int
) -> None:
    """Write to `out` how much the texture vectors before and after the candidate differ in one feature space.

    These are N_NOVELTY numbers. space: index that selects sums; first_dim, end_dim: its dimensions. For each span:
    the similarity within the span before the candidate and within that after it, less that between them (Foote 2000);
    that between them; the distance of their means. Then the similarity within [candidate, end), and how much better the
    candidate splits the last vectors than the places around it.
    """
    age = end - candidate
    for k in range(len(SPANS)):
        span = SPANS[k]
        f, p = min(span, age), min(span, candidate)
        across = state.across[space, candidate, k] / (p * f)
        before, after = state.before[space, candidate, k] / (p * p), state.after[space, candidate, k] / (f * f)
        out[at] = 0.5 * (before + after) - across
        out[at + 1] = across
        sums_after, sums_here = state.totals[candidate + f], state.totals[candidate]
        sums_before = state.totals[candidate - p]
        per_f, per_p = 1.0 / f, 1.0 / p
        even = odd = 0.0
        for d in range(first_dim, end_dim - 1, 2):  # every space has an even number of dimensions
            step = (sums_after[d] - sums_here[d]) * per_f - (sums_here[d] - sums_before[d]) * per_p
            even += step * step
            step = (sums_after[d + 1] - sums_here[d + 1]) * per_f - (sums_here[d + 1] - sums_before[d + 1]) * per_p
            odd += step * step
        out[at + 2] = np.sqrt((even + odd) / (end_dim - first_dim))
        at += 3
    out[at] = state.sums[space, candidate] / (age * age)
    if candidate >= SPLIT_REACH:
        low, value_here, best_elsewhere = candidate - SPLIT_REACH, 0.0, -np.inf
        for k in range(len(SPLIT_OFFSETS)):
            x = candidate + SPLIT_OFFSETS[k]
            if x >= end:
                continue
            value = state.sums_at_split[space, low, k] / (x - low) + state.sums[space, x] / (end - x)
            if SPLIT_OFFSETS[k] == 0:
                value_here = value
            elif value > best_elsewhere:
                best_elsewhere = value
        out[at + 1] = value_here - best_elsewhere


@subkernel
def write_optimal_partitioning(candidate: int, end: int, state: RunningSums, out: Floats, at: int) -> int:
    """Write to `out` how clearly the optimal partitioning has a change at the candidate; return the next index.

    Five features per penalty: the cost with the last change at the candidate, less that of the best; what the change
    gains; how near the candidate the best path has a change, and for how long it has had it; the length of the section
    before.
    """
    for b in range(len(PENALTIES)):
        sums, best, since = state.sums[PENALTY_SPACE[b]], state.best[b], state.on_path_since[b]
        length = end - candidate
        cost = best[candidate] + length - sums[candidate] / length + PENALTIES[b]
        out[at] = cost - best[end]
        p = max(state.previous_change[b, candidate], end - HORIZON, 0)
        length = end - p
        out[at + 1] = best[p] + length - sums[p] / length + PENALTIES[b] - cost
        distance, path_age = _NO_PATH_DISTANCE, 0
        for shift in range(-_PATH_REACH, _PATH_REACH + 1):
            x = candidate + shift
            if 0 <= x <= end and since[x] >= 0 and abs(shift) < distance:
                distance, path_age = abs(shift), end - since[x] + 1
        out[at + 2], out[at + 3] = distance, min(path_age, _MAX_PATH_AGE)
        out[at + 4] = candidate - p
        at += 5
    return at


@subkernel
def write_level_steps_and_classes(
    candidate: int, end: int, classes: int, state: RunningSums, out: Floats, at: int
) -> int:
    """Write to `out` how level and sound class change at the candidate; return the index after these features.

    The candidate's age and position, the level at it and the dip of level follow. The sound class is measured along
    class directions, after and before the candidate. classes: number of directions.
    """
    age = end - candidate
    extra, totals = state.extra, state.extra_totals
    for k in range(len(_SIGNED_SPANS)):
        f, p = min(_SIGNED_SPANS[k], age), min(_SIGNED_SPANS[k], candidate)
        for q in range(len(_SIGNED_DIMS)):
            d = _SIGNED_DIMS[q]
            mean_after = (totals[candidate + f, d] - totals[candidate, d]) / f
            out[at] = mean_after - (totals[candidate, d] - totals[candidate - p, d]) / p
            at += 1
    for k in range(len(_CLASS_SPANS)):
        f, p = min(_CLASS_SPANS[k], age), min(_CLASS_SPANS[k], candidate)
        for d in range(LEVEL_DIMS, LEVEL_DIMS + classes):
            out[at] = (totals[candidate + f, d] - totals[candidate, d]) / f
            out[at + 1] = (totals[candidate, d] - totals[candidate - p, d]) / p
            at += 2
    out[at] = np.log(age)
    out[at + 1] = min(candidate + state.n_dropped[0], HORIZON) / HORIZON
    out[at + 2], out[at + 3] = extra[candidate, 0], extra[candidate - 1, 0]
    around = extra[max(candidate - 4, 0), 0] + extra[min(candidate + 3, end - 1), 0]
    out[at + 4] = min(extra[candidate - 1, 0], extra[candidate, 0]) - 0.5 * around
    return at + 5
