"""Running sums: every new vector costs one row of similarities, and that updates all that is known of the past."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

HORIZON = 600
RETAINED_VECTORS = (
    720  # vectors kept when the memory is packed: the horizon, the oldest age, and what those look back to
)
CAPACITY = 1440
SPANS = np.array([4, 8, 16, 32, 64, 128, 256])
PROJECTED, TEXTURE, HARMONY, LEVEL = range(4)
PENALTIES = np.array([4.0, 8.0, 12.0, 18.0, 3.0, 6.0, 10.0])
PENALTY_SPACE = np.array([PROJECTED] * 4 + [TEXTURE] * 3)
_SHORTEST = 6
_OLDEST_AGE = 48
_PATH_MEMORY = 64
SPLIT_OFFSETS = np.array([-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6])
SPLIT_REACH = 16
PARALLEL_SPACE = np.array([HARMONY, TEXTURE])
PARALLEL_ROWS = 96
MATCH_WIDTHS = np.array([16, 32])
MATCH_STRIDE = 4
MATCH_RING = 64
MATCH_AGE = 32  # vectors of what followed that are compared with windows of the past


class RunningSums(NamedTuple):
    """Running sums; the vector is counted from the last packing."""

    n: Ints  # (1,) vectors held
    n_dropped: Ints  # (1,) vectors forgotten
    vectors: Singles  # (all dims, capacity) the spaces below each other
    totals: Floats  # (capacity + 1, all dims) running sum of vectors
    extra: Floats  # (capacity, level dims + class dims)
    extra_totals: Floats
    pulse_totals: Floats  # (capacity + 1, periodicity dims) running sum of periodicity
    forward: Floats  # (spaces, capacity) similarity of a vector to all after it
    sums: Floats  # (spaces, capacity) similarity sum of [i, now)²
    squares: Floats  # (spaces, spans) similarity sum of the last span, squared
    before: Floats  # (spaces, capacity + 1, spans) squares when i was new: similarity among the span before i
    across: Floats  # (spaces, capacity + 1, spans) similarity sum between the span before i and the span from i
    after: Floats  # (spaces, capacity, spans) similarity sum of the span from i, squared
    sums_at_split: Floats  # (spaces, capacity, splits) sums[i] when it was as long as a split needs
    best: Floats  # (penalties, capacity + 1) cost of the best segmentation up to i
    previous_change: Ints  # (penalties, capacity + 1) where its last section began
    on_path_since: Ints  # (penalties, capacity + 1) since when the best path has passed i, -1 when it does not
    diagonal_sums: Floats  # (2, rows, horizon) running sum along each diagonal
    past_match: Floats  # (ring, widths, capacity / stride) similarity of the span from i to windows of the past
    glance_probability: Floats  # (capacity + 1,) how likely a change at i seemed at first glance
    newest_similarity_sums: Floats  # (spaces, capacity + 1) scratch: running sum of the newest similarities
    distance: Singles  # (capacity,) scratch
    scratch: Floats  # (6, horizon) scratch


@subkernel
def update_similarities(s: int, start: int, stop: int, gamma: float, state: RunningSums) -> None:
    """Running sum of the newest vector's similarity to every vector of the horizon, in space s.

    The rational quadratic kernel (Rasmussen & Williams 2006, eq. 4.19), with exponent 4: it has the shape of the
    Gaussian, a longer tail, and costs a division instead of an exponential.
    """
    n = state.n[0]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    distance, row = state.distance[lowest:n], state.newest_similarity_sums[s]
    for j in range(len(distance)):
        distance[j] = 0.0
    for d in range(start, stop):
        past, mine = state.vectors[d, lowest:n], state.vectors[d, n]
        for j in range(len(past)):
            difference = past[j] - mine
            distance[j] += difference * difference
    scale = np.float32(gamma / (4.0 * (stop - start)))
    for j in range(len(distance)):
        near = np.float32(1.0) / (np.float32(1.0) + scale * distance[j])
        near *= near
        distance[j] = near * near
    total = 0.0
    row[lowest] = 0.0
    for j in range(lowest, n):
        total += distance[j - lowest]
        row[j + 1] = total
    row[n + 1] = total + 1.0


@subkernel
def update_block_sums(s: int, state: RunningSums) -> None:
    """Update the block sums of space s with the newest row."""
    n = state.n[0]
    row, sums, forward = state.newest_similarity_sums[s], state.sums[s], state.forward[s]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    for k in range(len(SPANS)):
        span = SPANS[k]
        if n >= span:
            state.squares[s, k] -= 2.0 * forward[n - span] + 1.0
        state.squares[s, k] += 2.0 * (row[n] - row[max(lowest, n - span + 1)]) + 1.0
        state.before[s, n + 1, k] = state.squares[s, k]
        state.across[s, n + 1, k] = 0.0
    sums[n], forward[n] = 0.0, 0.0
    newest = row[n]
    for j in range(lowest, n + 1):
        sums[j] += 2.0 * (newest - row[j]) + 1.0
    for j in range(lowest, n):
        forward[j] += row[j + 1] - row[j]
    for c in range(max(0, n - _OLDEST_AGE), n + 1):
        for k in range(len(SPANS)):
            if n - c < SPANS[k]:
                state.across[s, c, k] += row[c] - row[max(0, c - SPANS[k], lowest)]
                state.after[s, c, k] = sums[c]
    for k in range(len(SPLIT_OFFSETS)):
        i = n + 1 - SPLIT_REACH - SPLIT_OFFSETS[k]
        if i >= 0:
            state.sums_at_split[s, i, k] = sums[i]


@subkernel
def update_partition(b: int, state: RunningSums) -> None:
    """One more column of the optimal partitioning at penalty b, and the best path now."""
    e = state.n[0] + 1
    sums, best, previous, since = (
        state.sums[PENALTY_SPACE[b]],
        state.best[b],
        state.previous_change[b],
        state.on_path_since[b],
    )
    lowest = max(0, e - HORIZON)
    highest = max(lowest + 1, e - _SHORTEST + 1)
    costs = state.scratch[0]
    for i in range(lowest, highest):
        length = float(e - i)
        costs[i - lowest] = best[i] + length - sums[i] / length
    found, where = np.inf, 0
    for i in range(highest - lowest):
        if costs[i] < found:
            found, where = costs[i], i
    where += lowest
    best[e], previous[e] = found + PENALTIES[b], where
    oldest = max(0, e - _PATH_MEMORY)
    since[e] = -1
    at, steps, upper = where, 0, e
    while upper > oldest:
        on_path = at > 0 and steps < 12 and at >= oldest
        for x in range(at + 1 if on_path else oldest, upper + 1):
            since[x] = -1
        if not on_path:
            break
        if since[at] < 0:
            since[at] = e
        upper = at - 1
        at, steps = previous[at], steps + 1


@subkernel
def update_diagonals(state: RunningSums) -> None:
    """Lengthen every diagonal of the two spaces in which repetition is sought."""
    n, e = state.n[0], state.n_dropped[0] + state.n[0] + 1
    for q in range(2):
        row = state.newest_similarity_sums[PARALLEL_SPACE[q]]
        was, now = state.diagonal_sums[q, (e - 1) % PARALLEL_ROWS], state.diagonal_sums[q, e % PARALLEL_ROWS]
        heard = min(HORIZON, n + 1)
        for lag in range(heard):
            now[lag] = was[lag] + (row[n - lag + 1] - row[n - lag])
        for lag in range(heard, HORIZON):
            now[lag] = was[lag]


@subkernel
def update_past_matches(state: RunningSums) -> None:
    """Compare the newest vector, as part of what followed each young candidate, with windows of the past."""
    n = state.n[0]
    row, windows = state.newest_similarity_sums[PROJECTED], state.scratch[0]
    mine = state.past_match[(n + state.n_dropped[0]) % MATCH_RING]
    for k in range(mine.shape[0]):
        for m in range(mine.shape[1]):
            mine[k, m] = 0.0
    lowest = max(0, n - HORIZON - MATCH_AGE) // MATCH_STRIDE
    for k in range(len(MATCH_WIDTHS)):
        width = MATCH_WIDTHS[k]
        highest = max(lowest, (n - width) // MATCH_STRIDE)
        for m in range(lowest, highest):
            windows[m - lowest] = row[MATCH_STRIDE * m + width] - row[MATCH_STRIDE * m]
        for c in range(max(0, n - MATCH_AGE + 1), n + 1):
            followed = state.past_match[(c + state.n_dropped[0]) % MATCH_RING, k, lowest:highest]
            for m in range(len(followed)):
                followed[m] += windows[m]
