"""What is told of a candidate, from the running sums.

At first glance: novelty, partition, steps, kinds. On a closer look, which most candidates do not get: parallels,
matches, rhythm, lengths.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.boundaries.running_sums import (
    HORIZON,
    MATCH_AGE,
    MATCH_RING,
    MATCH_STRIDE,
    MATCH_WIDTHS,
    PARALLEL_ROWS,
    PENALTIES,
    PENALTY_SPACE,
    PROJECTED,
    SPANS,
    SPLIT_OFFSETS,
    SPLIT_REACH,
    Floats,
    RunningSums,
)
from streamseg.engine.features.texture import LEVEL_DIMS
from streamseg.engine.kernels import subkernel

_PARALLEL_SPANS = np.array([8, 16, 32])
_CLASS_SPANS = np.array([2, 6, 16])
_SIGNED_SPANS = np.array([2, 8, 32, 128])
_RHYTHM_SPANS = np.array([16, 32, 64])
_SIGNED = np.array([0, 1, 4])  # level, onset, deviation of level
_SHORTEST_LAG = 16
_MATCH_SPAN = 2  # the spans that are as wide as the windows of the past
_LIKELY = 0.5
_MIN_DISTANCE = 8  # vectors between two strong changes

N_NOVELTY = 3 * len(SPANS) + 2  # numbers a space
N_GLANCE_FIXED = 4 * N_NOVELTY + 5 * len(PENALTIES) + len(_SIGNED_SPANS) * len(_SIGNED) + 5
N_GLANCE_PER_CLASS = 2 * len(_CLASS_SPANS)
N_CLOSE_LOOK = 2 * 8 * len(_PARALLEL_SPANS) + 4 + 4 * len(_RHYTHM_SPANS) + 4


@subkernel
def write_novelty(c: int, e: int, s: int, start: int, stop: int, state: RunningSums, out: Floats, at: int) -> None:
    """How alike the sound is before, after and across c, in space s: NOVELTY numbers, which go to out[at] on."""
    age = e - c
    for k in range(len(SPANS)):
        span = SPANS[k]
        f, p = min(span, age), min(span, c)
        across = state.across[s, c, k] / (p * f)
        out[at] = 0.5 * (state.before[s, c, k] / (p * p) + state.after[s, c, k] / (f * f)) - across
        out[at + 1] = across
        later, here, sooner = state.totals[c + f], state.totals[c], state.totals[c - p]
        per_f, per_p = 1.0 / f, 1.0 / p
        even = odd = 0.0
        for d in range(start, stop - 1, 2):  # every space has an even number of dimensions
            moved = (later[d] - here[d]) * per_f - (here[d] - sooner[d]) * per_p
            even += moved * moved
            moved = (later[d + 1] - here[d + 1]) * per_f - (here[d + 1] - sooner[d + 1]) * per_p
            odd += moved * moved
        out[at + 2] = np.sqrt((even + odd) / (stop - start))
        at += 3
    out[at] = state.sums[s, c] / (age * age)
    if c >= SPLIT_REACH:
        low, here_value, other = c - SPLIT_REACH, 0.0, -np.inf
        for k in range(len(SPLIT_OFFSETS)):
            x = c + SPLIT_OFFSETS[k]
            if x >= e:
                continue
            value = state.sums_at_split[s, low, k] / (x - low) + state.sums[s, x] / (e - x)
            if SPLIT_OFFSETS[k] == 0:
                here_value = value
            elif value > other:
                other = value
        out[at + 1] = here_value - other


@subkernel
def write_partition(c: int, e: int, state: RunningSums, out: Floats, at: int) -> int:
    """What the optimal partitionings think of c; returns where to write on."""
    for b in range(len(PENALTIES)):
        sums, best, since = state.sums[PENALTY_SPACE[b]], state.best[b], state.on_path_since[b]
        length = e - c
        cost = best[c] + length - sums[c] / length + PENALTIES[b]
        out[at] = cost - best[e]
        p = max(state.previous_change[b, c], e - HORIZON, 0)
        length = e - p
        out[at + 1] = best[p] + length - sums[p] / length + PENALTIES[b] - cost
        distance, stay = 20, 0
        for shift in range(-6, 7):
            x = c + shift
            if 0 <= x <= e and since[x] >= 0 and abs(shift) < distance:
                distance, stay = abs(shift), e - since[x] + 1
        out[at + 2], out[at + 3] = distance, min(stay, 40)
        out[at + 4] = c - p
        at += 5
    return at


@subkernel
def write_level_steps_and_classes(c: int, e: int, classes: int, state: RunningSums, out: Floats, at: int) -> int:
    """Steps and dips of level; kind of sound; age."""
    age = e - c
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
    out[at + 1] = min(c + state.n_dropped[0], HORIZON) / HORIZON
    out[at + 2], out[at + 3] = extra[c, 0], extra[c - 1, 0]
    out[at + 4] = min(extra[c - 1, 0], extra[c, 0]) - 0.5 * (extra[max(c - 4, 0), 0] + extra[min(c + 3, e - 1), 0])
    return at + 5


@subkernel
def _maximum(values: Floats, n: int) -> float:
    """The largest of the first n, which are overwritten; by halves, so that the compiler makes it vectors."""
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
    """Sum of the first n, in four interleaved parts."""
    a = b = c = d = 0.0
    whole = n - n % 4
    for i in range(0, whole, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(whole, n):
        a += values[i]
    return (a + b) + (c + d)


@subkernel
def write_repetition(c: int, e: int, state: RunningSums, out: Floats, at: int) -> int:
    """Whether what follows, or came before, runs parallel to an earlier stretch; and whether that changed there."""
    a0 = state.n_dropped[0]
    future, past = state.scratch[0], state.scratch[1]
    work, other = state.scratch[2], state.scratch[3]
    for q in range(2):
        rows = state.diagonal_sums[q]
        here = rows[(c + a0) % PARALLEL_ROWS]
        for k in range(len(_PARALLEL_SPANS)):
            f, p = min(_PARALLEL_SPANS[k], e - c), min(_PARALLEL_SPANS[k], c)
            later, sooner = rows[(c + f + a0) % PARALLEL_ROWS], rows[(c - p + a0) % PARALLEL_ROWS]
            n = min(HORIZON, c - p) - _SHORTEST_LAG
            if n <= 0:
                for i in range(8):
                    out[at + i] = -1.0
                at += 8
                continue
            per_f, per_p = 1.0 / f, 1.0 / p
            for i in range(n):
                lag = i + _SHORTEST_LAG
                future[i] = (later[lag] - here[lag]) * per_f
                past[i] = (here[lag] - sooner[lag]) * per_p
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
                other[i] = work[i] * state.glance_probability[c - _SHORTEST_LAG - i]
            out[at + 6] = _maximum(other, n)
            for i in range(n):
                other[i] = work[i]
            best = _maximum(other, n)
            lag = _SHORTEST_LAG
            while lag < n + _SHORTEST_LAG - 1 and work[lag - _SHORTEST_LAG] != best:
                lag += 1
            out[at + 4] = best
            out[at + 7] = max(
                state.glance_probability[c - lag - 1],
                state.glance_probability[c - lag],
                state.glance_probability[c - lag + 1],
            )
            at += 8
    return at


@subkernel
def write_past_matches(c: int, e: int, state: RunningSums, out: Floats, at: int) -> int:
    """Whether anything in the past explains what came after, beside what came just before."""
    mine, a = state.past_match[(c + state.n_dropped[0]) % MATCH_RING], min(MATCH_AGE, e - c)
    lowest = (max(0, c - HORIZON) + MATCH_STRIDE - 1) // MATCH_STRIDE
    for k in range(len(MATCH_WIDTHS)):
        width, best = MATCH_WIDTHS[k], 0.0
        highest = max(lowest, (c - width - 8) // MATCH_STRIDE + 1)
        for m in range(lowest, highest):
            best = max(best, mine[k, m])
        p = min(width, c)
        out[at] = best / (width * a)
        out[at + 1] = out[at] - state.across[PROJECTED, c, _MATCH_SPAN + k] / (p * min(width, e - c))
        at += 2
    return at


@subkernel
def write_rhythm(c: int, e: int, state: RunningSums, after: Floats, before: Floats, out: Floats, at: int) -> int:
    """Whether the onsets keep their period: four numbers a span. after, before: scratch."""
    totals = state.pulse_totals
    lags = totals.shape[1] - 1
    for k in range(len(_RHYTHM_SPANS)):
        f, p = min(_RHYTHM_SPANS[k], e - c), min(_RHYTHM_SPANS[k], c)
        later, here, sooner = totals[c + f], totals[c], totals[c - p]
        per_after = 1.0 / (later[lags] - here[lags] + 1e-3)
        per_before = 1.0 / (here[lags] - sooner[lags] + 1e-3)
        for lag in range(lags):
            after[lag] = (later[lag] - here[lag]) * per_after
            before[lag] = (here[lag] - sooner[lag]) * per_before
        mean_after, mean_before = _sum(after, lags) / lags, _sum(before, lags) / lags
        product = square_after = square_before = apart = 0.0
        for lag in range(lags):
            x, y = after[lag] - mean_after, before[lag] - mean_before
            product += x * y
            square_after += x * x
            square_before += y * y
            apart += abs(x - y)
        out[at] = product / (np.sqrt(square_after * square_before) + 1e-9)
        out[at + 1], out[at + 2] = np.sqrt(square_after / lags), np.sqrt(square_before / lags)
        out[at + 3] = apart / lags
        at += 4
    return at


@subkernel
def write_section_lengths(c: int, state: RunningSums, out: Floats, at: int) -> None:
    """How long ago the sound last seemed to change, how long before that, and whether the two lengths fit."""
    first = _previous_likely_change(c - _MIN_DISTANCE, state)
    second = _previous_likely_change(first - _MIN_DISTANCE, state)
    out[at], out[at + 1] = c - first, first - second
    fit = np.log((c - first) / max(first - second, 1)) / np.log(2.0)
    out[at + 2] = abs(fit - np.round(fit)) if first > 0 else 1.0
    out[at + 3] = state.glance_probability[max(first, 0)]


@subkernel
def _previous_likely_change(c: int, state: RunningSums) -> int:
    """The last vector up to c at which a change seemed likely, and likelier than around it; 0 when there is none."""
    x = c
    while x > max(0, c - HORIZON):
        mine = state.glance_probability[x]
        if mine >= _LIKELY and mine >= state.glance_probability[x - 1] and mine >= state.glance_probability[x + 1]:
            return x
        x -= 1
    return max(x, 0)
