"""What is told of a candidate, from the running sums."""

from __future__ import annotations

import numpy as np

from streamseg.engine.evidence.running import (
    HORIZON,
    MATCH_RING,
    MATCH_WIDTHS,
    MATCHES,
    PARALLEL_ROWS,
    PENALTIES,
    PENALTY_SPACE,
    SPANS,
    SPLIT_REACH,
    SPLITS,
    Floats,
    State,
)
from streamseg.engine.kernel import kernel
from streamseg.engine.texture import LEVEL_DIMS

_PARALLEL_SPANS = np.array([8, 16, 32])
_CLASS_SPANS = np.array([2, 6, 16])
_SIGNED_SPANS = np.array([2, 8, 32, 128])
_RHYTHM_SPANS = np.array([16, 32, 64])
_SIGNED = np.array([0, 1, 4])  # level, onset, deviation of level


@kernel
def novelty(c: int, e: int, s: int, start: int, stop: int, state: State, out: Floats, at: int) -> int:
    """How alike the sound is before, after and across c, in space s; returns where to write on."""
    age = e - c
    for k in range(len(SPANS)):
        span = SPANS[k]
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
    if c >= SPLIT_REACH:
        low, here, other = c - SPLIT_REACH, 0.0, -np.inf
        for k in range(len(SPLITS)):
            x = c + SPLITS[k]
            if x >= e:
                continue
            value = state.early[s, low, k] / (x - low) + state.sums[s, x] / (e - x)
            if SPLITS[k] == 0:
                here = value
            elif value > other:
                other = value
        out[at + 1] = here - other
    return at + 2


@kernel
def partition(c: int, e: int, state: State, out: Floats, at: int) -> int:
    """What the optimal partitionings think of c."""
    for b in range(len(PENALTIES)):
        sums, best, since = state.sums[PENALTY_SPACE[b]], state.best[b], state.since[b]
        length = e - c
        cost = best[c] + length - sums[c] / length + PENALTIES[b]
        out[at] = cost - best[e]
        p = max(state.previous[b, c], e - HORIZON, 0)
        length = e - p
        out[at + 1] = best[p] + length - sums[p] / length + PENALTIES[b] - cost
        distance, stay = 20, 0
        for shift in range(-6, 7):
            x = c + shift
            if 0 <= x <= e and since[x] >= 0 and abs(shift) < distance:
                distance, stay = abs(shift), e - since[x] + 1
        out[at + 2], out[at + 3] = distance, min(stay, 40)
        at += 4
    return at


@kernel
def parallels(c: int, e: int, state: State, out: Floats, at: int) -> int:
    """Whether what follows, or came before, runs parallel to an earlier stretch."""
    a0 = state.age0[0]
    for q in range(2):
        rows = state.parallel[q]
        here = rows[(c + a0) % PARALLEL_ROWS]
        for k in range(len(_PARALLEL_SPANS)):
            f, p = min(_PARALLEL_SPANS[k], e - c), min(_PARALLEL_SPANS[k], c)
            later, sooner = rows[(c + f + a0) % PARALLEL_ROWS], rows[(c - p + a0) % PARALLEL_ROWS]
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
def rest(c: int, e: int, classes: int, state: State, out: Floats, at: int) -> int:
    """The past as an explanation; steps and dips of level; kind of sound; age."""
    age = e - c
    mine, a = state.matched[(c + state.age0[0]) % MATCH_RING], min(32, age)
    for k in range(2):
        width, best = MATCH_WIDTHS[k], 0.0
        for m in range(MATCHES):
            best = max(best, mine[k, m])
        out[at] = best / (width * a)
        out[at + 1] = out[at] - mine[k, MATCHES] / (min(width, c) * a)
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
def rhythm(c: int, e: int, state: State, after: Floats, before: Floats, out: Floats, at: int) -> int:
    """Whether the onsets keep their period: four numbers a span. after, before: scratch, shape (periodicity dims,)."""
    totals = state.pulse_totals
    lags = totals.shape[1] - 1
    for k in range(len(_RHYTHM_SPANS)):
        f, p = min(_RHYTHM_SPANS[k], e - c), min(_RHYTHM_SPANS[k], c)
        energy_after = totals[c + f, lags] - totals[c, lags] + 1e-3
        energy_before = totals[c, lags] - totals[c - p, lags] + 1e-3
        mean_after = mean_before = 0.0
        for lag in range(lags):
            after[lag] = (totals[c + f, lag] - totals[c, lag]) / energy_after
            before[lag] = (totals[c, lag] - totals[c - p, lag]) / energy_before
            mean_after += after[lag] / lags
            mean_before += before[lag] / lags
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
