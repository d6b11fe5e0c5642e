"""Updates running sums over the similarities of texture vectors; the features of candidates are computed from them.

Every new vector costs one row of similarities, and that row updates every sum. The past reaches HORIZON vectors;
memory and time per vector are constant.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

HORIZON: Final = 600  # vectors
RETAINED_VECTORS: Final = 720  # after old ones are dropped: the horizon, the oldest age, and what those look back to
CAPACITY: Final = 1440
PROJECTION, TEXTURE, HARMONY, LEVEL, SPACES = range(5)
SPANS = np.array([4, 8, 16, 32, 64, 128, 256])
PENALTIES = np.array([4.0, 8.0, 12.0, 18.0, 3.0, 6.0, 10.0])
PENALTY_SPACE = np.array([PROJECTION] * 4 + [TEXTURE] * 3)
SPLIT_OFFSETS = np.array([-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6])
SPLIT_REACH: Final = 16
PARALLEL_SPACE = np.array([HARMONY, TEXTURE])
PARALLEL_ROWS: Final = 96
MATCH_WIDTHS = np.array([16, 32])
MATCH_STRIDE: Final = 4
MATCH_RING: Final = 64
MATCH_AGE: Final = 32  # vectors after a candidate that are compared with windows of the past
_MIN_SECTION: Final = 6  # vectors of a section of the optimal partitioning
_OLDEST_AGE: Final = 48
_PATH_MEMORY: Final = 64  # vectors back to which the best path is followed
_MAX_PATH_CHANGES: Final = 12
_SCRATCH_ROWS: Final = 4


class RunningSums(NamedTuple):
    """Stores the newest texture vectors of a stream, oldest first, with sums of the vectors and of their similarities.

    dims: dimensions of all spaces together. extras: level dimensions and class directions. lags: of the periodicity.
    """

    n: Ints  # int64 (1,) vectors held
    n_dropped: Ints  # int64 (1,) vectors dropped before them
    vectors: Singles  # float32 (dims, CAPACITY) one space below the other
    totals: Floats  # float64 (CAPACITY + 1, dims) running sum of the vectors
    extra: Floats  # float64 (CAPACITY, extras)
    extra_totals: Floats  # float64 (CAPACITY + 1, extras) running sum of them
    pulse_totals: Floats  # float64 (CAPACITY + 1, lags) running sum of the periodicity
    forward: Floats  # float64 (SPACES, CAPACITY) sum of the similarities of vector i to all after it
    sums: Floats  # float64 (SPACES, CAPACITY) similarity sum of the block [i, now) x [i, now)
    squares: Floats  # float64 (SPACES, len(SPANS)) similarity sum of the last span with itself
    before: Floats  # float64 (SPACES, CAPACITY + 1, len(SPANS)) the same of the span before i
    across: Floats  # float64 (SPACES, CAPACITY + 1, len(SPANS)) of the span before i with the span from i
    after: Floats  # float64 (SPACES, CAPACITY, len(SPANS)) of the span from i with itself
    sums_at_split: Floats  # float64 (SPACES, CAPACITY, len(SPLIT_OFFSETS)) sums[i] at the length a split needs
    best: Floats  # float64 (len(PENALTIES), CAPACITY + 1) cost of the best segmentation up to i
    previous_change: Ints  # int64 (len(PENALTIES), CAPACITY + 1) where its last section begins
    on_path_since: Ints  # int64 (len(PENALTIES), CAPACITY + 1) since when the best path has had a change at i, or -1
    diagonal_sums: Floats  # float64 (len(PARALLEL_SPACE), PARALLEL_ROWS, HORIZON) running sum along each diagonal
    past_match: Floats  # float64 (MATCH_RING, len(MATCH_WIDTHS), CAPACITY // MATCH_STRIDE) the past's windows
    glance_probability: Floats  # float64 (CAPACITY + 2,) of a change at i, at first glance
    newest_similarity_sums: Floats  # float64 (SPACES, CAPACITY + 1) running sum of the newest vector's similarities
    distance: Singles  # float32 (CAPACITY,) scratch
    scratch: Floats  # float64 (_SCRATCH_ROWS, HORIZON)


def allocate_running_sums(dims: int, extras: int, lags: int) -> RunningSums:
    """Allocate the running sums of a new stream, which has no texture vectors yet.

    dims: dimensions of all spaces together. extras: level dimensions and class directions. lags: of the periodicity.
    """
    sums = RunningSums(
        n=np.zeros(1, np.int64),
        n_dropped=np.zeros(1, np.int64),
        vectors=np.zeros((dims, CAPACITY), np.float32),
        totals=np.zeros((CAPACITY + 1, dims)),
        extra=np.zeros((CAPACITY, extras)),
        extra_totals=np.zeros((CAPACITY + 1, extras)),
        pulse_totals=np.zeros((CAPACITY + 1, lags)),
        forward=np.zeros((SPACES, CAPACITY)),
        sums=np.zeros((SPACES, CAPACITY)),
        squares=np.zeros((SPACES, len(SPANS))),
        before=np.zeros((SPACES, CAPACITY + 1, len(SPANS))),
        across=np.zeros((SPACES, CAPACITY + 1, len(SPANS))),
        after=np.zeros((SPACES, CAPACITY, len(SPANS))),
        sums_at_split=np.zeros((SPACES, CAPACITY, len(SPLIT_OFFSETS))),
        best=np.zeros((len(PENALTIES), CAPACITY + 1)),
        previous_change=np.zeros((len(PENALTIES), CAPACITY + 1), np.int64),
        on_path_since=np.full((len(PENALTIES), CAPACITY + 1), -1, np.int64),
        diagonal_sums=np.zeros((len(PARALLEL_SPACE), PARALLEL_ROWS, HORIZON)),
        past_match=np.zeros((MATCH_RING, len(MATCH_WIDTHS), CAPACITY // MATCH_STRIDE)),
        glance_probability=np.zeros(CAPACITY + 2),
        newest_similarity_sums=np.zeros((SPACES, CAPACITY + 1)),
        distance=np.zeros(CAPACITY, np.float32),
        scratch=np.zeros((_SCRATCH_ROWS, HORIZON)),
    )
    sums.best[:, 0] = -PENALTIES
    return sums


def drop_old_vectors(state: RunningSums) -> None:
    """Make room in full running sums (n = CAPACITY), in place: keep only the newest half of the texture vectors.

    The RETAINED_VECTORS that stay are renumbered from 0, `n_dropped` grows by the number of dropped ones, and the costs
    in `best` count from the oldest that stays. Only for full sums: the number of dropped vectors is fixed.
    """
    shift = CAPACITY - RETAINED_VECTORS
    for array in (
        state.totals, state.extra, state.extra_totals, state.pulse_totals, state.glance_probability,
    ):  # fmt: skip
        array[: len(array) - shift] = array[shift:].copy()
    by_space: tuple[NDArray[np.generic], ...] = (
        state.vectors, state.forward, state.sums, state.before, state.across, state.after, state.sums_at_split,
        state.best, state.previous_change, state.on_path_since,
    )  # fmt: skip
    for table in by_space:
        table[:, : table.shape[1] - shift] = table[:, shift:].copy()
    windows = shift // MATCH_STRIDE
    state.past_match[:, :, :-windows] = state.past_match[:, :, windows:].copy()
    state.previous_change[...] = np.maximum(state.previous_change - shift, 0)
    state.on_path_since[state.on_path_since >= 0] -= shift
    state.best[...] -= state.best[:, :1].copy()
    state.n[0] = RETAINED_VECTORS
    state.n_dropped[0] += shift


@subkernel
def compare_newest_vector(space: int, first_dim: int, end_dim: int, gamma: float, state: RunningSums) -> None:
    """Write to `state` how similar the newest texture vector is to those of the last 5 minutes, in one feature space.

    Written, to `newest_similarity_sums[space]`, is the running sum of the similarities, oldest first. The newest vector
    is at index n, which does not count it yet, here and in the functions below. space: PROJECTION, TEXTURE, HARMONY or
    LEVEL. first_dim, end_dim: the dimensions of that space. gamma: scale of the mean squared difference.

    The similarity is the rational quadratic kernel (Rasmussen & Williams 2006, eq. 4.19) with exponent 4: it has the
    shape of the Gaussian, a longer tail, and costs a division instead of an exponential.
    """
    n = state.n[0]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    distance, row = state.distance[lowest:n], state.newest_similarity_sums[space]
    for j in range(len(distance)):
        distance[j] = 0.0
    for d in range(first_dim, end_dim):
        past, newest = state.vectors[d, lowest:n], state.vectors[d, n]
        for j in range(len(past)):
            difference = past[j] - newest
            distance[j] += difference * difference
    scale = np.float32(gamma / (4.0 * (end_dim - first_dim)))
    for j in range(len(distance)):
        similarity = np.float32(1.0) / (np.float32(1.0) + scale * distance[j])
        similarity *= similarity
        distance[j] = similarity * similarity
    total = 0.0
    row[lowest] = 0.0
    for j in range(lowest, n):
        total += distance[j - lowest]
        row[j + 1] = total
    row[n + 1] = total + 1.0


@subkernel
def add_newest_to_block_sums(space: int, state: RunningSums) -> None:
    """Add the newest texture vector's similarities, in one feature space, to the similarity sums around each candidate.

    These are the sums within the span before the candidate, between that and the span after it, and within the span
    after it. `compare_newest_vector` must have written the similarities of that space.
    """
    n = state.n[0]
    row, sums, forward = state.newest_similarity_sums[space], state.sums[space], state.forward[space]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    for k in range(len(SPANS)):
        span = SPANS[k]
        if n >= span:
            state.squares[space, k] -= 2.0 * forward[n - span] + 1.0
        state.squares[space, k] += 2.0 * (row[n] - row[max(lowest, n - span + 1)]) + 1.0
        state.before[space, n + 1, k] = state.squares[space, k]
        state.across[space, n + 1, k] = 0.0
    sums[n], forward[n] = 0.0, 0.0
    newest = row[n]
    for j in range(lowest, n + 1):
        sums[j] += 2.0 * (newest - row[j]) + 1.0
    for j in range(lowest, n):
        forward[j] += row[j + 1] - row[j]
    for c in range(max(0, n - _OLDEST_AGE), n + 1):
        for k in range(len(SPANS)):
            if n - c < SPANS[k]:
                state.across[space, c, k] += row[c] - row[max(0, c - SPANS[k], lowest)]
                state.after[space, c, k] = sums[c]
    for k in range(len(SPLIT_OFFSETS)):
        i = n + 1 - SPLIT_REACH - SPLIT_OFFSETS[k]
        if i >= 0:
            state.sums_at_split[space, i, k] = sums[i]


@subkernel
def extend_optimal_partitioning(penalty_index: int, state: RunningSums) -> None:
    """Extend the optimal partitioning (the segmentation of least cost) at one penalty to the newest texture vector.

    Also updates, for each change of the best path, the vector at which it appeared. penalty_index: index in PENALTIES.
    Killick, Fearnhead & Eckley (2012), eq. 5, over the horizon. Call it after `add_newest_to_block_sums`.
    """
    e = state.n[0] + 1
    sums, best, previous, since = (
        state.sums[PENALTY_SPACE[penalty_index]],
        state.best[penalty_index],
        state.previous_change[penalty_index],
        state.on_path_since[penalty_index],
    )
    lowest = max(0, e - HORIZON)
    highest = max(lowest + 1, e - _MIN_SECTION + 1)
    costs = state.scratch[0]
    for i in range(lowest, highest):
        length = float(e - i)
        costs[i - lowest] = best[i] + length - sums[i] / length
    lowest_cost, where = np.inf, 0
    for i in range(highest - lowest):
        if costs[i] < lowest_cost:
            lowest_cost, where = costs[i], i
    where += lowest
    best[e], previous[e] = lowest_cost + PENALTIES[penalty_index], where
    oldest = max(0, e - _PATH_MEMORY)
    since[e] = -1
    at, steps, upper = where, 0, e
    while upper > oldest:
        on_path = at > 0 and steps < _MAX_PATH_CHANGES and at >= oldest
        for x in range(at + 1 if on_path else oldest, upper + 1):
            since[x] = -1
        if not on_path:
            break
        if since[at] < 0:
            since[at] = e
        upper = at - 1
        at, steps = previous[at], steps + 1


@subkernel
def extend_diagonal_sums(state: RunningSums) -> None:
    """Add the similarity of the newest vector and the one `lag` before it to the sum of that lag, 0 to 599 vectors.

    Each sum runs along a diagonal of the similarities, one in harmony and one in the whole texture.
    """
    n, e = state.n[0], state.n_dropped[0] + state.n[0] + 1
    for q in range(2):
        row = state.newest_similarity_sums[PARALLEL_SPACE[q]]
        sums_before = state.diagonal_sums[q, (e - 1) % PARALLEL_ROWS]
        sums_now = state.diagonal_sums[q, e % PARALLEL_ROWS]
        lags = min(HORIZON, n + 1)
        for lag in range(lags):
            sums_now[lag] = sums_before[lag] + (row[n - lag + 1] - row[n - lag])
        for lag in range(lags, HORIZON):
            sums_now[lag] = sums_before[lag]


@subkernel
def add_newest_to_past_matches(state: RunningSums) -> None:
    """Add the similarity of the newest texture vector and each earlier window to the match sums of recent candidates.

    Recent: of the last MATCH_AGE vectors. Windows: MATCH_WIDTHS vectors wide, one begins every MATCH_STRIDE vectors.
    """
    n = state.n[0]
    row, windows = state.newest_similarity_sums[PROJECTION], state.scratch[0]
    newest_match = state.past_match[(n + state.n_dropped[0]) % MATCH_RING]
    for k in range(newest_match.shape[0]):
        for m in range(newest_match.shape[1]):
            newest_match[k, m] = 0.0
    lowest = max(0, n - HORIZON - MATCH_AGE) // MATCH_STRIDE
    for k in range(len(MATCH_WIDTHS)):
        width = MATCH_WIDTHS[k]
        highest = max(lowest, (n - width) // MATCH_STRIDE)
        for m in range(lowest, highest):
            windows[m - lowest] = row[MATCH_STRIDE * m + width] - row[MATCH_STRIDE * m]
        for c in range(max(0, n - MATCH_AGE + 1), n + 1):
            following = state.past_match[(c + state.n_dropped[0]) % MATCH_RING, k, lowest:highest]
            for m in range(len(following)):
                following[m] += windows[m]
