"""Evidence: everything that speaks for or against a change, gathered from running sums.

Each texture vector may begin a new section. While the sound goes on, a candidate `c` is described at a few ages by
some two hundred numbers, in four spaces (a learned projection, the whole texture, harmony, level) whose vectors are
compared by `k(x, y) = exp(-gamma |x - y|^2 / dims)`:

- novelty: how alike the vectors are before, after and across `c`, over seven spans (Foote 2000, the checkerboard
  taken apart into its blocks), and how far the means moved;
- optimal partitioning at several penalties: the cost of the best segmentation with its last change at `c` over the
  best at all (Killick, Fearnhead & Eckley 2012, eq. 5, with the kernel cost of Arlot, Celisse & Harchaoui 2019,
  eq. 5), what the change gains, how near the best path passes and since when;
- repetition: whether what came after, or before, runs parallel to an earlier stretch (Paulus, Müller & Klapuri
  2010, sec. 4), and whether the parallel begins or ends here;
- whether anything in the past explains what came after, beside what came just before;
- steps and dips of level, kind of sound.

Nothing is looked up twice: every new vector costs one row of similarities, and its running sum updates all.
The past reaches `HORIZON` vectors; memory and time per vector are constant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.engine.texture import LEVEL_DIMS, TEXTURE_DIMS
from streamseg.weights import ChangeModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HORIZON = 600
_KEEP = 720  # vectors kept when the memory is packed: the horizon, the oldest age, and what those look back to
_CAPACITY = 1440
_SPANS = np.array([4, 8, 16, 32, 64, 128, 256])
_GAMMAS = np.array([0.5, 0.7, 4.0, 0.7])
_LEARNED, _WHOLE, _HARMONY, _LEVEL = range(4)
_PENALTIES = np.array([4.0, 8.0, 12.0, 18.0, 3.0, 6.0, 10.0])
_PENALTY_SPACE = np.array([_LEARNED] * 4 + [_WHOLE] * 3)
_SHORTEST = 6
_OLDEST_AGE = 48
_PATH_MEMORY = 64
_SPLITS = np.array([-6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6])
_SPLIT_REACH = 16
_PARALLEL_SPACE = np.array([_HARMONY, _WHOLE])
_PARALLEL_SPANS = np.array([8, 16, 32])
_PARALLEL_ROWS = 96
_MATCH_WIDTHS = np.array([16, 32])
_MATCH_STRIDE = 4
_MATCHES = HORIZON // _MATCH_STRIDE
_MATCH_RING = 64
_CLASS_SPANS = np.array([2, 6, 16])
_SIGNED_SPANS = np.array([2, 8, 32, 128])
_SIGNED = np.array([0, 1, 4])  # level, onset, deviation of level


class _State(NamedTuple):
    """Running sums; the first axis of most is the vector, counted from the last packing."""

    n: Ints  # (1,) vectors held
    age0: Ints  # (1,) vectors forgotten
    vectors: Floats  # (capacity, all dims) the spaces side by side
    totals: Floats  # (capacity + 1, all dims) running sum of vectors
    extra: Floats  # (capacity, level dims + class dims)
    extra_totals: Floats
    forward: Floats  # (spaces, capacity) similarity of a vector to all after it
    sums: Floats  # (spaces, capacity) similarity sum of [i, now)²
    squares: Floats  # (spaces, spans) similarity sum of the last span, squared
    before: Floats  # (spaces, capacity, spans) squares when i was new: similarity among the span before i
    across: Floats  # (spaces, capacity, spans) similarity sum between the span before i and the span from i
    after: Floats  # (spaces, capacity, spans) similarity sum of the span from i, squared
    early: Floats  # (spaces, capacity, splits) sums[i] when it was as long as a split needs
    best: Floats  # (penalties, capacity + 1) cost of the best segmentation up to i
    previous: Ints  # (penalties, capacity + 1) where its last section began
    since: Ints  # (penalties, capacity + 1) since when the best path has passed i, -1 when it does not
    parallel: Floats  # (2, rows, horizon) running sum along each diagonal
    matched: Floats  # (ring, widths, matches + 1) similarity of the span from i to windows of the past
    row: Floats  # (spaces, capacity + 1) scratch: running sum of the newest similarities


@kernel
def _similarities(s: int, start: int, stop: int, gamma: float, state: _State) -> None:
    """Running sum of the newest vector's similarity to every vector of the horizon, in space s."""
    n = state.n[0]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    total = 0.0
    row = state.row[s]
    vectors = state.vectors
    row[lowest] = 0.0
    for j in range(lowest, n):
        distance = 0.0
        for d in range(start, stop):
            difference = vectors[j, d] - vectors[n, d]
            distance += difference * difference
        total += np.exp(-gamma * distance / (stop - start))
        row[j + 1] = total
    row[n + 1] = total + 1.0


@kernel
def _accumulate(s: int, state: _State) -> None:
    """Update the block sums of space s with the newest row."""
    n = state.n[0]
    row, sums, forward = state.row[s], state.sums[s], state.forward[s]
    lowest = max(0, n - HORIZON - _OLDEST_AGE - 8)
    for k in range(len(_SPANS)):
        span = _SPANS[k]
        if n >= span:
            state.squares[s, k] -= 2.0 * forward[n - span] + 1.0
        state.squares[s, k] += 2.0 * (row[n] - row[max(lowest, n - span + 1)]) + 1.0
        state.before[s, n + 1, k] = state.squares[s, k]
    sums[n], forward[n] = 0.0, 0.0
    for j in range(lowest, n + 1):
        sums[j] += 2.0 * (row[n] - row[j]) + 1.0
        if j < n:
            forward[j] += row[j + 1] - row[j]
    for c in range(max(0, n - _OLDEST_AGE), n + 1):
        for k in range(len(_SPANS)):
            if n - c < _SPANS[k]:
                state.across[s, c, k] += row[c] - row[max(0, c - _SPANS[k], lowest)]
                state.after[s, c, k] = sums[c]
    for k in range(len(_SPLITS)):
        i = n + 1 - _SPLIT_REACH - _SPLITS[k]
        if i >= 0:
            state.early[s, i, k] = sums[i]
    for k in range(len(_SPANS)):
        state.across[s, n + 1, k] = 0.0


@kernel
def _partition(b: int, state: _State) -> None:
    """One more column of the optimal partitioning at penalty b, and the best path now."""
    e = state.n[0] + 1
    sums, best, previous, since = state.sums[_PENALTY_SPACE[b]], state.best[b], state.previous[b], state.since[b]
    lowest, found, where = max(0, e - HORIZON), np.inf, 0
    for i in range(lowest, max(lowest + 1, e - _SHORTEST + 1)):
        length = e - i
        cost = best[i] + length - sums[i] / length
        if cost < found:
            found, where = cost, i
    best[e], previous[e] = found + _PENALTIES[b], where
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


@kernel
def _follow_parallels(state: _State) -> None:
    """Lengthen every diagonal of the two spaces in which repetition is sought."""
    n, e = state.n[0], state.age0[0] + state.n[0] + 1
    for q in range(2):
        row = state.row[_PARALLEL_SPACE[q]]
        was, now = state.parallel[q, (e - 1) % _PARALLEL_ROWS], state.parallel[q, e % _PARALLEL_ROWS]
        for lag in range(HORIZON):
            now[lag] = was[lag]
            if lag <= n:
                now[lag] += row[n - lag + 1] - row[n - lag]


@kernel
def _match_past(state: _State) -> None:
    """Compare the newest vector, as part of what followed each young candidate, with windows before it."""
    n = state.n[0]
    row = state.row[_LEARNED]
    state.matched[(n + state.age0[0]) % _MATCH_RING] = 0.0
    for c in range(max(0, n - 31), n + 1):
        mine = state.matched[(c + state.age0[0]) % _MATCH_RING]
        for k in range(2):
            width = _MATCH_WIDTHS[k]
            for m in range(_MATCHES):
                start = c - width - 8 - _MATCH_STRIDE * m
                if start < max(0, c - HORIZON):
                    break
                mine[k, m] += row[start + width] - row[start]
            mine[k, _MATCHES] += row[c] - row[max(0, c - width)]


@kernel
def _describe_novelty(c: int, e: int, s: int, start: int, stop: int, state: _State, out: Floats, at: int) -> int:
    age = e - c
    for k in range(len(_SPANS)):
        span = _SPANS[k]
        f, p = min(span, age), min(span, c)
        across = state.across[s, c, k] / (p * f)
        out[at] = 0.5 * (state.before[s, c, k] / (p * p) + state.after[s, c, k] / (f * f)) - across
        out[at + 1] = across
        distance = 0.0
        for d in range(start, stop):
            moved = (state.totals[c + f, d] - state.totals[c, d]) / f - (
                state.totals[c, d] - state.totals[c - p, d]
            ) / p
            distance += moved * moved
        out[at + 2] = np.sqrt(distance / (stop - start))
        at += 3
    out[at] = state.sums[s, c] / (age * age)
    if c >= _SPLIT_REACH:
        low, here, other = c - _SPLIT_REACH, 0.0, -np.inf
        for k in range(len(_SPLITS)):
            x = c + _SPLITS[k]
            if x >= e:
                continue
            value = state.early[s, low, k] / (x - low) + state.sums[s, x] / (e - x)
            if _SPLITS[k] == 0:
                here = value
            elif value > other:
                other = value
        out[at + 1] = here - other
    return at + 2


@kernel
def _describe_partition(c: int, e: int, state: _State, out: Floats, at: int) -> int:
    for b in range(len(_PENALTIES)):
        sums, best, since = state.sums[_PENALTY_SPACE[b]], state.best[b], state.since[b]
        length = e - c
        cost = best[c] + length - sums[c] / length + _PENALTIES[b]
        out[at] = cost - best[e]
        p = max(state.previous[b, c], e - HORIZON, 0)
        length = e - p
        out[at + 1] = best[p] + length - sums[p] / length + _PENALTIES[b] - cost
        distance, stay = 20, 0
        for shift in range(-6, 7):
            x = c + shift
            if 0 <= x <= e and since[x] >= 0 and abs(shift) < distance:
                distance, stay = abs(shift), e - since[x] + 1
        out[at + 2], out[at + 3] = distance, min(stay, 40)
        at += 4
    return at


@kernel
def _describe_parallels(c: int, e: int, state: _State, out: Floats, at: int) -> int:
    a0 = state.age0[0]
    for q in range(2):
        rows = state.parallel[q]
        here = rows[(c + a0) % _PARALLEL_ROWS]
        for k in range(len(_PARALLEL_SPANS)):
            f, p = min(_PARALLEL_SPANS[k], e - c), min(_PARALLEL_SPANS[k], c)
            later, sooner = rows[(c + f + a0) % _PARALLEL_ROWS], rows[(c - p + a0) % _PARALLEL_ROWS]
            future = past = begins = ends = through = -1.0
            total = 0.0
            lags = min(HORIZON, c - p)
            for lag in range(16, lags):
                x, y = (later[lag] - here[lag]) / f, (here[lag] - sooner[lag]) / p
                total += x - y
                future, past = max(future, x), max(past, y)
                begins, ends, through = max(begins, x - y), max(ends, y - x), max(through, min(x, y))
            if lags > 16:
                out[at], out[at + 1], out[at + 2] = future, past, begins
                out[at + 3], out[at + 4], out[at + 5] = ends, through, total / (lags - 16)
            at += 6
    return at


@kernel
def _describe_rest(c: int, e: int, classes: int, state: _State, out: Floats, at: int) -> int:
    age = e - c
    mine, a = state.matched[(c + state.age0[0]) % _MATCH_RING], min(32, age)
    for k in range(2):
        width, best = _MATCH_WIDTHS[k], 0.0
        for m in range(_MATCHES):
            best = max(best, mine[k, m])
        out[at] = best / (width * a)
        out[at + 1] = out[at] - mine[k, _MATCHES] / (min(width, c) * a)
        at += 2
    extra, totals = state.extra, state.extra_totals
    for k in range(len(_SIGNED_SPANS)):
        f, p = min(_SIGNED_SPANS[k], age), min(_SIGNED_SPANS[k], c)
        for q in range(len(_SIGNED)):
            d = _SIGNED[q]
            out[at] = (totals[c + f, d] - totals[c, d]) / f - (totals[c, d] - totals[c - p, d]) / p
            at += 1
    for k in range(len(_CLASS_SPANS)):
        f, p = min(_CLASS_SPANS[k], age), min(_CLASS_SPANS[k], c)
        for d in range(LEVEL_DIMS, LEVEL_DIMS + classes):
            out[at] = (totals[c + f, d] - totals[c, d]) / f
            out[at + 1] = (totals[c, d] - totals[c - p, d]) / p
            at += 2
    out[at] = np.log(age)
    out[at + 1] = min(c + state.age0[0], HORIZON) / HORIZON
    out[at + 2], out[at + 3] = extra[c, 0], extra[c - 1, 0]
    out[at + 4] = min(extra[c - 1, 0], extra[c, 0]) - 0.5 * (extra[max(c - 4, 0), 0] + extra[min(c + 3, e - 1), 0])
    return at + 5


@kernel
def _advance(state: _State, offsets: Ints, gammas: Floats, ages: Ints, classes: int, out: Floats) -> None:
    """Take the vector already written at `n`; describe the candidates of every age in `out`."""
    n = state.n[0]
    for d in range(state.vectors.shape[1]):
        state.totals[n + 1, d] = state.totals[n, d] + state.vectors[n, d]
    for d in range(state.extra.shape[1]):
        state.extra_totals[n + 1, d] = state.extra_totals[n, d] + state.extra[n, d]
    for s in range(4):
        _similarities(s, offsets[s], offsets[s + 1], gammas[s], state)
        _accumulate(s, state)
    for b in range(len(_PENALTIES)):
        _partition(b, state)
    _follow_parallels(state)
    _match_past(state)
    e = n + 1
    state.n[0] = e
    for k in range(len(ages)):
        c = e - ages[k]
        out[k] = 0.0
        if c < 4:
            continue
        at = 0
        for s in range(4):
            at = _describe_novelty(c, e, s, offsets[s], offsets[s + 1], state, out[k], at)
        at = _describe_partition(c, e, state, out[k], at)
        at = _describe_parallels(c, e, state, out[k], at)
        _describe_rest(c, e, classes, state, out[k], at)


class Evidence:
    """Texture vectors in; for each, what speaks for a change at the candidates that have just reached an age."""

    def __init__(self, model: ChangeModel) -> None:
        self._projection, self._classes, self._ages = model.projection, model.classes, model.ages
        learned, classes = model.projection.shape[1], model.classes.shape[1]
        self._offsets = np.cumsum([0, learned, TEXTURE_DIMS, 12, LEVEL_DIMS])
        dims = int(self._offsets[-1])
        spaces, spans, penalties = 4, len(_SPANS), len(_PENALTIES)
        self.width = spaces * (3 * spans + 2) + 4 * penalties + 36 + 4 + 12 + 6 * classes + 5
        self._out = np.zeros((len(self._ages), self.width))
        self._state = _State(
            n=np.zeros(1, np.int64),
            age0=np.zeros(1, np.int64),
            vectors=np.zeros((_CAPACITY, dims)),
            totals=np.zeros((_CAPACITY + 1, dims)),
            extra=np.zeros((_CAPACITY, LEVEL_DIMS + classes)),
            extra_totals=np.zeros((_CAPACITY + 1, LEVEL_DIMS + classes)),
            forward=np.zeros((spaces, _CAPACITY)),
            sums=np.zeros((spaces, _CAPACITY)),
            squares=np.zeros((spaces, spans)),
            before=np.zeros((spaces, _CAPACITY + 1, spans)),
            across=np.zeros((spaces, _CAPACITY + 1, spans)),
            after=np.zeros((spaces, _CAPACITY, spans)),
            early=np.zeros((spaces, _CAPACITY, len(_SPLITS))),
            best=np.zeros((penalties, _CAPACITY + 1)),
            previous=np.zeros((penalties, _CAPACITY + 1), np.int64),
            since=np.full((penalties, _CAPACITY + 1), -1, np.int64),
            parallel=np.zeros((2, _PARALLEL_ROWS, HORIZON)),
            matched=np.zeros((_MATCH_RING, 2, _MATCHES + 1)),
            row=np.zeros((spaces, _CAPACITY + 1)),
        )
        self._state.best[:, 0] = -_PENALTIES

    def push(self, vector: Floats) -> Floats:
        """Take one texture vector, shape (TEXTURE_DIMS + LEVEL_DIMS,), standardised.

        Returns shape (ages, width): row k describes the candidate `ages[k]` vectors back; zeros where there is none.
        The array is overwritten by the next push.
        """
        state = self._state
        n = int(state.n[0])
        if n == _CAPACITY:
            self._pack()
            n = int(state.n[0])
        texture, level = vector[:TEXTURE_DIMS], vector[TEXTURE_DIMS:]
        chroma = texture[20:32] * DEVIATION[20:32] + MEAN[20:32]
        parts = (
            texture @ self._projection,
            texture,
            chroma * (np.sqrt(12.0) / max(np.linalg.norm(chroma), 1e-9)),
            level,
        )
        state.vectors[n] = np.concatenate(parts)
        state.extra[n, :LEVEL_DIMS] = level
        state.extra[n, LEVEL_DIMS:] = vector @ self._classes
        _advance(state, self._offsets, _GAMMAS, self._ages, self._classes.shape[1], self._out)
        return self._out

    def _pack(self) -> None:
        """Forget what lies beyond the horizon. Numbers counted in vectors are shifted along."""
        state = self._state
        gone = _CAPACITY - _KEEP
        for name in ("vectors", "totals", "extra", "extra_totals"):
            array = getattr(state, name)
            array[: len(array) - gone] = array[gone:].copy()
        for name in ("forward", "sums", "before", "across", "after", "early", "best", "previous", "since"):
            array = getattr(state, name)
            array[:, : array.shape[1] - gone] = array[:, gone:].copy()
        state.previous[...] = np.maximum(state.previous - gone, 0)
        state.since[state.since >= 0] -= gone
        state.best[...] -= state.best[:, :1].copy()
        state.n[0] = _KEEP
        state.age0[0] += gone
