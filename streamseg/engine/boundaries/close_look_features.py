"""Computes the close-look features of a boundary candidate: repetition, past matches, rhythm, section lengths.

candidate: the first vector of the section that would begin. end: one past the newest vector. age: end - candidate.
Each function writes to out[at], out[at + 1], … (float64, a row of `CandidateFeaturesAndScores.features`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from streamseg.engine.boundaries.running_sums import (
    HORIZON,
    MATCH_AGE,
    MATCH_RING,
    MATCH_STRIDE,
    MATCH_WIDTHS,
    PARALLEL_ROWS,
    PARALLEL_SPACE,
    PROJECTION,
    Floats,
    RunningSums,
)
from streamseg.engine.kernels import subkernel

_PARALLEL_SPANS = np.array([8, 16, 32])
_RHYTHM_SPANS = np.array([16, 32, 64])
_MIN_LAG: Final = 16
_MATCH_SPAN: Final = 2  # SPANS from this index on are as wide as MATCH_WIDTHS
_LIKELY_CHANGE: Final = 0.5
_MIN_DISTANCE: Final = 8  # vectors between two likely changes

N_FEATURES: Final = len(PARALLEL_SPACE) * 8 * len(_PARALLEL_SPANS) + 2 * len(MATCH_WIDTHS) + 4 * len(_RHYTHM_SPANS) + 4


@subkernel
def _maximum(values: Floats, n: int) -> float:
    """Return the largest of the first n values, which are overwritten; by halves, which the compiler vectorises."""
    while n > 1:
        half = n // 2
        rest = values[n - half : n]
        for i in range(half):
            values[i] = rest[i] if rest[i] > values[i] else values[i]
        n -= half
    largest: float = values[0]
    return largest


@subkernel
def _sum(values: Floats, n: int) -> float:
    """Return the sum of the first n values, in four interleaved parts."""
    a = b = c = d = 0.0
    end = n - n % 4
    for i in range(0, end, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(end, n):
        a += values[i]
    return (a + b) + (c + d)


@subkernel
def write_repetition(candidate: int, end: int, state: RunningSums, out: Floats, at: int) -> int:
    """Write to `out` how closely the sound before and after the candidate repeats earlier sound; return the next index.

    Eight features for each span, in harmony and in the whole texture; all eight are -1 where at most 16 vectors come
    before the span that precedes the candidate. Paulus, Müller & Klapuri (2010), sec. 4: over all lags, the similarity
    of what follows the candidate, and of what precedes it, to what is that lag earlier; whether the parallel begins or
    ends there; whether the sound changed at the corresponding earlier place.
    """
    offset = state.n_dropped[0]
    future, past = state.scratch[0], state.scratch[1]
    work, other = state.scratch[2], state.scratch[3]
    for q in range(len(PARALLEL_SPACE)):
        rows = state.diagonal_sums[q]
        sums_here = rows[(candidate + offset) % PARALLEL_ROWS]
        for k in range(len(_PARALLEL_SPANS)):
            f, p = min(_PARALLEL_SPANS[k], end - candidate), min(_PARALLEL_SPANS[k], candidate)
            sums_after = rows[(candidate + f + offset) % PARALLEL_ROWS]
            sums_before = rows[(candidate - p + offset) % PARALLEL_ROWS]
            n = min(HORIZON, candidate - p) - _MIN_LAG
            if n <= 0:
                for i in range(8):
                    out[at + i] = -1.0
                at += 8
                continue
            per_f, per_p = 1.0 / f, 1.0 / p
            for i in range(n):
                lag = i + _MIN_LAG
                future[i] = (sums_after[lag] - sums_here[lag]) * per_f
                past[i] = (sums_here[lag] - sums_before[lag]) * per_p
                work[i] = future[i]
                other[i] = past[i]
            out[at], out[at + 1] = _maximum(work, n), _maximum(other, n)
            for i in range(n):
                work[i] = future[i] - past[i]
                other[i] = -work[i]
            out[at + 5] = _sum(work, n) / n
            out[at + 2], out[at + 3] = _maximum(work, n), _maximum(other, n)
            for i in range(n):
                work[i] = future[i] if future[i] < past[i] else past[i]
                other[i] = work[i] * state.glance_probability[candidate - _MIN_LAG - i]
            out[at + 6] = _maximum(other, n)
            for i in range(n):
                other[i] = work[i]
            best = _maximum(other, n)
            lag = _MIN_LAG
            while lag < n + _MIN_LAG - 1 and work[lag - _MIN_LAG] != best:
                lag += 1
            out[at + 4] = best
            out[at + 7] = max(
                state.glance_probability[candidate - lag - 1],
                state.glance_probability[candidate - lag],
                state.glance_probability[candidate - lag + 1],
            )
            at += 8
    return at


@subkernel
def write_past_matches(candidate: int, end: int, state: RunningSums, out: Floats, at: int) -> int:
    """Write to `out` how similar the sound after the candidate is to the past; return the index after these features.

    Two features per window width: the similarity of the best window of the past, and how much more similar it is than
    the window just before the candidate.
    """
    similarity = state.past_match[(candidate + state.n_dropped[0]) % MATCH_RING]
    length = min(MATCH_AGE, end - candidate)
    lowest = (max(0, candidate - HORIZON) + MATCH_STRIDE - 1) // MATCH_STRIDE
    for k in range(len(MATCH_WIDTHS)):
        width, best = MATCH_WIDTHS[k], 0.0
        highest = max(lowest, (candidate - width - 8) // MATCH_STRIDE + 1)
        for m in range(lowest, highest):
            best = max(best, similarity[k, m])
        p = min(width, candidate)
        out[at] = best / (width * length)
        out[at + 1] = out[at] - state.across[PROJECTION, candidate, _MATCH_SPAN + k] / (p * min(width, end - candidate))
        at += 2
    return at


@subkernel
def write_rhythm(
    candidate: int, end: int, state: RunningSums, after: Floats, before: Floats, out: Floats, at: int
) -> int:
    """Write to `out` how similar the rhythm is before and after the candidate; return the index after these features.

    Four features per span: the correlation of the periodicity after the candidate with that before it, the standard
    deviation of each, their mean absolute difference. after, before: float64 (lags,), scratch.
    """
    totals = state.pulse_totals
    lags = totals.shape[1] - 1
    for k in range(len(_RHYTHM_SPANS)):
        f, p = min(_RHYTHM_SPANS[k], end - candidate), min(_RHYTHM_SPANS[k], candidate)
        sums_after, sums_here, sums_before = totals[candidate + f], totals[candidate], totals[candidate - p]
        per_after = 1.0 / (sums_after[lags] - sums_here[lags] + 1e-3)
        per_before = 1.0 / (sums_here[lags] - sums_before[lags] + 1e-3)
        for lag in range(lags):
            after[lag] = (sums_after[lag] - sums_here[lag]) * per_after
            before[lag] = (sums_here[lag] - sums_before[lag]) * per_before
        mean_after, mean_before = _sum(after, lags) / lags, _sum(before, lags) / lags
        product = square_after = square_before = difference = 0.0
        for lag in range(lags):
            x, y = after[lag] - mean_after, before[lag] - mean_before
            product += x * y
            square_after += x * x
            square_before += y * y
            difference += abs(x - y)
        out[at] = product / (np.sqrt(square_after * square_before) + 1e-9)
        out[at + 1], out[at + 2] = np.sqrt(square_after / lags), np.sqrt(square_before / lags)
        out[at + 3] = difference / lags
        at += 4
    return at


@subkernel
def write_section_lengths(candidate: int, state: RunningSums, out: Floats, at: int) -> None:
    """Write to `out` the lengths of the two sections before the candidate, estimated from earlier likely changes.

    The four features are both lengths in vectors, how far their ratio is from a power of two, and the probability of
    the last change.
    """
    first = _previous_likely_change(candidate - _MIN_DISTANCE, state)
    second = _previous_likely_change(first - _MIN_DISTANCE, state)
    out[at], out[at + 1] = candidate - first, first - second
    octaves = np.log((candidate - first) / max(first - second, 1)) / np.log(2.0)
    out[at + 2] = abs(octaves - np.round(octaves)) if first > 0 else 1.0
    out[at + 3] = state.glance_probability[max(first, 0)]


@subkernel
def _previous_likely_change(newest: int, state: RunningSums) -> int:
    """Return the last vector up to `newest` at which a change is likely, and likelier than beside it.

    Returns the start of the horizon if there is none.
    """
    probability, x = state.glance_probability, newest
    while x > max(0, newest - HORIZON):
        here = probability[x]
        if here >= _LIKELY_CHANGE and here >= probability[x - 1] and here >= probability[x + 1]:
            return x
        x -= 1
    return max(x, 0)
