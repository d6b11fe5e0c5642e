"""Likeness: how two sections compare, in some thirty numbers, and what that says about their being the same.

What is compared (the shorter of the two is held against the longer one):

- blocks of texture in a learned projection (linear discriminant analysis, Fisher 1936): how far the shorter one's
  blocks lie from their nearest in the longer one, and how much nearer that is than the nearest of a general code
  book. The latter is the idea of a universal background model (Reynolds, Quatieri & Dunn 2000): what lies near
  everything lies near nothing in particular;
- means and deviations of timbre, harmony, contrast, level, onsets and their periodicity;
- harmony step by step: the best diagonal through the matrix of similarities, as repetitions are found in songs
  (Goto 2003; Müller 2015, ch. 4.3), also in the best other key.

A logistic regression turns the numbers into log-odds; it was trained on pairs of sections (`models/labels.md`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, STANDARDISED_DIMS, TEXTURE_MEAN, TEXTURE_STD, VECTOR_DIMS
from streamseg.engine.kernels import allocating_kernel, subkernel
from streamseg.engine.labels.descriptor import MAX_WINDOWS, SectionDescriptor
from streamseg.engine.models.weights import LabelModel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

N_COMPARISON_FEATURES = 30
_GROUP_EDGES = np.array([0, 20, 32, 39, STANDARDISED_DIMS - 8, STANDARDISED_DIMS - 7, STANDARDISED_DIMS - 6])
_MIN_DIAGONAL = 20  # steps of harmony: the least that says something
_COVERAGE = np.array([0.3, 0.6, 0.9])


class PreparedDescriptor(NamedTuple):
    """A portrait, made ready to be compared under one model.

    size: (vectors, blocks, steps of progression). blocks: (BLOCKS, k), projected. generic: for each block, how far
    the nearest word of the code book lies. mean, deviation: (VECTOR_DIMS,). chroma: (12,), of length 1, mean 0.
    """

    size: NDArray[np.int64]
    windows: Singles
    codebook_distance: Singles
    centroid: Singles
    mean: Singles
    std: Singles
    chroma: Singles
    progression: Singles


@allocating_kernel
def _nearest_distances(x: Singles, n: int, y: Singles, m: int, out: Floats, back: Floats) -> None:
    """For each of the n rows of x, how far the nearest of the m rows of y lies; and back again.

    All rows of y advance together, dimension by dimension: sums that do not wait for one another.
    """
    columns, far = np.empty((x.shape[1], m), np.float32), np.empty(m, np.float32)
    for j in range(m):
        back[j] = np.inf
        for d in range(x.shape[1]):
            columns[d, j] = y[j, d]
    for i in range(n):
        for j in range(m):
            far[j] = 0.0
        for d in range(x.shape[1]):
            for j in range(m):
                far[j] += (x[i, d] - columns[d, j]) ** 2
        least = np.float32(np.inf)
        for j in range(m):
            least = min(least, far[j])
            back[j] = min(back[j], far[j])
        out[i] = np.sqrt(least / x.shape[1])
    for j in range(m):
        back[j] = np.sqrt(back[j] / x.shape[1])


def prepare_descriptor(descriptor: SectionDescriptor, model: LabelModel) -> PreparedDescriptor:
    """Make ready for comparing. A portrait too short for one block stands for itself as one."""
    mean, std = descriptor.mean, descriptor.std
    kept = max(descriptor.n_windows, 1)
    raw = descriptor.window_means[:kept] if descriptor.n_windows else mean[None, :STANDARDISED_DIMS]
    blocks = np.zeros((MAX_WINDOWS, model.projection.shape[1]), np.float32)
    blocks[:kept] = raw @ model.projection
    generic, used = np.zeros(MAX_WINDOWS), np.empty(len(model.codebook))
    _nearest_distances(blocks, kept, model.codebook.astype(np.float32), len(used), generic, used)
    chroma = mean[HARMONY] * TEXTURE_STD[HARMONY] + TEXTURE_MEAN[HARMONY]
    chroma = chroma - chroma.mean()
    chroma /= max(float(np.linalg.norm(chroma)), 1e-9)
    return PreparedDescriptor(
        np.array([max(descriptor.count, 1), kept, descriptor.n_progression_steps]),
        blocks,
        generic.astype(np.float32),
        blocks[:kept].mean(axis=0),
        mean.astype(np.float32),
        std.astype(np.float32),
        chroma.astype(np.float32),
        descriptor.progression.astype(np.float32),
    )


@subkernel
def _sort_ascending(x: Floats) -> None:
    """From the smallest to the largest; there are few."""
    for i in range(1, len(x)):
        value, j = x[i], i
        while j > 0 and x[j - 1] > value:
            x[j] = x[j - 1]
            j -= 1
        x[j] = value


@subkernel
def _mean(x: Floats, n: int) -> float:
    total = 0.0
    for i in range(n):
        total += x[i]
    return total / n


@subkernel
def _distance(x: Singles, y: Singles, first: int, last: int) -> float:
    total = 0.0
    for d in range(first, last):
        total += (x[d] - y[d]) ** 2
    found: float = np.sqrt(total / max(last - first, 1))
    return found


@allocating_kernel
def _diagonal_similarity(
    x: Singles, n: int, y: Singles, m: int, turn: int, window: int, coverage: Floats, out: Floats
) -> None:
    """Best means along diagonals of x·y, y turned by so many semitones.

    out[:3]: over diagonals that cover at least the shares `needed` of the shorter one; out[3]: over any `window`
    steps of one; out[4]: over the diagonal on which both begin; out[5]: of the best partners; out[6]: of all.
    """
    short = min(n, m)
    window = min(window, short)
    for k in range(4):
        out[k] = -1.0
    turned = np.empty((12, m), np.float32)
    for j in range(m):
        for d in range(12):
            turned[d, j] = y[j, (d - turn) % 12]
    similar = np.zeros((n, m), np.float32)
    everything, partners = 0.0, 0.0
    for i in range(n):
        for d in range(12):
            for j in range(m):
                similar[i, j] += x[i, d] * turned[d, j]
        best = -1.0
        for j in range(m):
            everything += float(similar[i, j])
            best = max(best, float(similar[i, j]))
        partners += best
    out[6] = everything / (n * m)
    if n <= m:
        out[5] = partners / n
    else:
        total_best = 0.0
        for j in range(m):
            best = -1.0
            for i in range(n):
                best = max(best, similar[i, j])
            total_best += best
        out[5] = total_best / m
    for lag in range(-n + 1, m):
        first = max(0, -lag)
        last = min(n, m - lag)
        length = last - first
        if length < window:
            continue
        total, inside = 0.0, 0.0
        for i in range(first, last):
            total += similar[i, i + lag]
            inside += similar[i, i + lag]
            if i - first >= window:
                inside -= similar[i - window, i - window + lag]
            if i - first + 1 >= window:
                out[3] = max(out[3], inside / window)
        for k in range(3):
            if length >= max(min(12, short), int(coverage[k] * short)):
                out[k] = max(out[k], total / length)
        if lag == 0:
            out[4] = total / length


@allocating_kernel
def _compute_comparison(
    sa: NDArray[np.int64],
    ba: Singles,
    ga: Singles,
    za: Singles,
    ma: Singles,
    da: Singles,
    ca: Singles,
    pa: Singles,
    sb: NDArray[np.int64],
    bb: Singles,
    zb: Singles,
    mb: Singles,
    db: Singles,
    cb: Singles,
    pb: Singles,
    parts: NDArray[np.int64],
    window: int,
    coverage: Floats,
    out: Floats,
) -> None:
    """Fill `out`; of the two sketches, a is the shorter one."""
    n, m = sa[1], sb[1]
    near, back = np.empty(n), np.empty(m)
    _nearest_distances(ba, n, bb, m, near, back)
    _sort_ascending(near)
    low = max(1, n // 4)
    generic = 0.0
    for i in range(n):
        generic += ga[i] / n
    out[0] = _distance(za, zb, parts[0], len(za))
    out[1] = _mean(near, n)
    out[2] = near[n // 2]
    out[3] = _mean(near, low)
    out[4] = out[1] - generic
    out[5] = _mean(back, m)
    out[6] = generic
    best, turn = -2.0, 1
    out[7] = 0.0
    for d in range(12):
        out[7] += ca[d] * cb[d]
    for k in range(1, 12):
        total = 0.0
        for d in range(12):
            total += ca[d] * cb[(d - k) % 12]
        if total > best:
            best, turn = total, k
    out[8] = best
    whole = parts[-1] + 6
    product, left, right = 0.0, 1e-9, 1e-9
    for d in range(whole, len(ma)):
        product += ma[d] * mb[d]
        left += ma[d] ** 2
        right += mb[d] ** 2
    out[9] = product / np.sqrt(left * right)
    out[10] = _distance(ma, mb, whole, len(ma))
    for k in range(6):
        out[11 + k] = _distance(ma, mb, parts[k], parts[k + 1])
    for k in range(2):
        out[17 + k] = _distance(da, db, parts[k], parts[k + 1])
    found = np.empty(7)
    for again in range(2):  # turned to where it fits best, then as it is
        _diagonal_similarity(pa, sa[2], pb, sb[2], turn * (1 - again), window, coverage, found)
        if again == 0:
            out[19] = found[1]
    for k in range(7):
        out[20 + k] = found[k]
    out[27] = np.log(sb[0] / sa[0])
    out[28] = np.log(sa[0])
    out[29] = np.log(sb[0])


def compare_descriptors(one: PreparedDescriptor, other: PreparedDescriptor) -> Floats:
    """Shape (NUMBERS,): how two sections compare. The order of the two does not matter."""
    a, b = (one, other) if one.size[0] <= other.size[0] else (other, one)
    out = np.empty(N_COMPARISON_FEATURES)
    _compute_comparison(
        a.size, a.windows, a.codebook_distance, a.centroid, a.mean, a.std, a.chroma, a.progression,
        b.size, b.windows, b.centroid, b.mean, b.std, b.chroma, b.progression,
        _GROUP_EDGES, _MIN_DIAGONAL, _COVERAGE, out,
    )  # fmt: skip
    return out


assert VECTOR_DIMS > STANDARDISED_DIMS  # noqa: S101  the periodicity follows
