"""Compares two sections: some thirty features of the pair, from which a logistic regression tells if they are the same.

The features (the shorter section is compared with the longer one):

- window means of texture in a learned projection (linear discriminant analysis, Fisher 1936): the distance from the
  shorter section's windows to the nearest of the longer one, and how much less that is than the distance to the nearest
  entry of a general codebook. The latter is the idea of a universal background model (Reynolds, Quatieri & Dunn 2000):
  a window close to many entries of the codebook says little about one section;
- means and standard deviations of timbre, harmony, contrast, level, onsets and their periodicity;
- harmony step by step: the best diagonal through the matrix of similarities, as repetitions are found in songs
  (Goto 2003; Müller 2015, ch. 4.3), also in the best other key.

The regression turns the features into log-odds; it was trained on pairs of sections (`models/labels.md`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, STANDARDISED_DIMS, TEXTURE_MEAN, TEXTURE_STD
from streamseg.engine.kernels import allocating_kernel, subkernel
from streamseg.engine.labels.descriptor import MAX_WINDOWS, SectionDescriptor
from streamseg.engine.models.weights import LabelModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Singles = NDArray[np.float32]

N_COMPARISON_FEATURES: Final = 30
# Where timbre, chroma, contrast, their standard deviations, level and onset begin in a vector, and the last ends.
_GROUP_EDGES = np.array([0, 20, 32, 39, STANDARDISED_DIMS - 8, STANDARDISED_DIMS - 7, STANDARDISED_DIMS - 6])
_MIN_DIAGONAL: Final = 20  # steps of harmony of a diagonal's best stretch; shorter diagonals are left out
_COVERAGE = np.array([0.3, 0.6, 0.9])  # shares of the shorter section that a diagonal must cover


class PreparedDescriptor(NamedTuple):
    """The arrays of one section that `compute_comparison_features` compares, made from its descriptor and a model.

    k: dimensions of the projection of the model.
    """

    size: Ints  # int64 (3,): vectors, windows, steps of the chroma progression
    windows: Singles  # float32 (MAX_WINDOWS, k) projected window means
    codebook_distance: Singles  # float32 (MAX_WINDOWS,) from each window to the nearest entry of the codebook
    centroid: Singles  # float32 (k,) mean of the windows
    mean: Singles  # float32 (VECTOR_DIMS,)
    std: Singles  # float32 (VECTOR_DIMS,)
    chroma: Singles  # float32 (12,) mean chroma, of length 1 and mean 0
    chroma_progression: Singles  # float32 (PROGRESSION_STEPS, 12)


@allocating_kernel
def _compute_nearest_distances(x: Singles, n: int, y: Singles, m: int, out: Floats, back: Floats) -> None:
    """Compute the distance from each of the n first rows of x to the nearest of the m first rows of y, and back.

    x, y: float32 (…, k). out: float64, (n,) written. back: float64, (m,) written: from each row of y to the nearest
    of x. A distance is the root of the mean square over the k dimensions. The inner loop runs over y, so that the
    sums do not depend on each other.
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
    """Convert a section descriptor to the arrays that `compute_comparison_features` compares, with `model`.

    A section that is too short for a window gets its mean as the only window.
    """
    mean, std = descriptor.mean, descriptor.std
    n = max(descriptor.n_window_means, 1)
    means = descriptor.window_means[:n] if descriptor.n_window_means else mean[None, :STANDARDISED_DIMS]
    windows = np.zeros((MAX_WINDOWS, model.projection.shape[1]), np.float32)
    windows[:n] = means @ model.projection
    distance, back = np.zeros(MAX_WINDOWS), np.empty(len(model.codebook))
    _compute_nearest_distances(windows, n, model.codebook.astype(np.float32), len(back), distance, back)
    chroma = mean[HARMONY] * TEXTURE_STD[HARMONY] + TEXTURE_MEAN[HARMONY]
    chroma = chroma - chroma.mean()
    chroma /= max(float(np.linalg.norm(chroma)), 1e-9)
    return PreparedDescriptor(
        size=np.array([max(descriptor.n_vectors, 1), n, descriptor.n_chroma_steps]),
        windows=windows,
        codebook_distance=distance.astype(np.float32),
        centroid=windows[:n].mean(axis=0),
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        chroma=chroma.astype(np.float32),
        chroma_progression=descriptor.chroma_progression.astype(np.float32),
    )


@subkernel
def _sort_ascending(x: Floats) -> None:
    """Sort a short array in place (insertion sort)."""
    for i in range(1, len(x)):
        value, j = x[i], i
        while j > 0 and x[j - 1] > value:
            x[j] = x[j - 1]
            j -= 1
        x[j] = value


@subkernel
def _mean(x: Floats, n: int) -> float:
    """Return the mean of the first n values."""
    total = 0.0
    for i in range(n):
        total += x[i]
    return total / n


@subkernel
def _compute_distance(x: Singles, y: Singles, first: int, end: int) -> float:
    """Return the root mean square difference of x and y over the dimensions from `first` to before `end`."""
    total = 0.0
    for d in range(first, end):
        total += (x[d] - y[d]) ** 2
    distance: float = np.sqrt(total / max(end - first, 1))
    return distance


@allocating_kernel
def _compute_diagonal_similarities(
    x: Singles, n: int, y: Singles, m: int, shift: int, window: int, coverage: Floats, out: Floats
) -> None:
    """Compute the best mean similarities along the diagonals of x·y, with y transposed by `shift` semitones.

    x, y: float32 (…, 12), progressions of n and m steps. coverage: float64 (3,).
    out: float64 (7,), written. 0 to 2: best mean of a diagonal that covers at least that share of the shorter one.
    3: best mean of `window` steps of a diagonal. 4: mean of the diagonal on which both begin. 5: mean of the best
    partner of each step of the shorter one. 6: mean of all.
    """
    short = min(n, m)
    window = min(window, short)
    for k in range(4):
        out[k] = -1.0
    transposed_y = np.empty((12, m), np.float32)
    for j in range(m):
        for d in range(12):
            transposed_y[d, j] = y[j, (d - shift) % 12]
    similarity = np.zeros((n, m), np.float32)
    total, total_best = 0.0, 0.0
    for i in range(n):
        for d in range(12):
            for j in range(m):
                similarity[i, j] += x[i, d] * transposed_y[d, j]
        best = -1.0
        for j in range(m):
            total += float(similarity[i, j])
            best = max(best, float(similarity[i, j]))
        total_best += best
    out[6] = total / (n * m)
    if n <= m:
        out[5] = total_best / n
    else:
        total_best = 0.0
        for j in range(m):
            best = -1.0
            for i in range(n):
                best = max(best, similarity[i, j])
            total_best += best
        out[5] = total_best / m
    for lag in range(-n + 1, m):
        first = max(0, -lag)
        end = min(n, m - lag)
        length = end - first
        if length < window:
            continue
        total, window_total = 0.0, 0.0
        for i in range(first, end):
            total += similarity[i, i + lag]
            window_total += similarity[i, i + lag]
            if i - first >= window:
                window_total -= similarity[i - window, i - window + lag]
            if i - first + 1 >= window:
                out[3] = max(out[3], window_total / window)
        for k in range(3):
            if length >= int(coverage[k] * short):
                out[k] = max(out[k], total / length)
        if lag == 0:
            out[4] = total / length


@allocating_kernel
def _compute_comparison(
    a: PreparedDescriptor, b: PreparedDescriptor, edges: Ints, coverage: Floats, out: Floats
) -> None:
    """Write the features of a pair; a is the shorter one.

    edges: int64 (7,), where the groups of dimensions begin. coverage: float64 (3,). out: float64
    (N_COMPARISON_FEATURES,).
    """
    n, m = a.size[1], b.size[1]
    nearest, back = np.empty(n), np.empty(m)
    _compute_nearest_distances(a.windows, n, b.windows, m, nearest, back)
    _sort_ascending(nearest)
    codebook_distance = 0.0
    for i in range(n):
        codebook_distance += a.codebook_distance[i] / n
    out[0] = _compute_distance(a.centroid, b.centroid, edges[0], len(a.centroid))
    out[1] = _mean(nearest, n)
    out[2] = nearest[n // 2]
    out[3] = _mean(nearest, max(1, n // 4))
    out[4] = out[1] - codebook_distance
    out[5] = _mean(back, m)
    out[6] = codebook_distance
    best, best_shift = -2.0, 1
    out[7] = 0.0
    for d in range(12):
        out[7] += a.chroma[d] * b.chroma[d]
    for k in range(1, 12):
        total = 0.0
        for d in range(12):
            total += a.chroma[d] * b.chroma[(d - k) % 12]
        if total > best:
            best, best_shift = total, k
    out[8] = best
    periodicity = edges[-1] + 6
    product, squares_a, squares_b = 0.0, 1e-9, 1e-9
    for d in range(periodicity, len(a.mean)):
        product += a.mean[d] * b.mean[d]
        squares_a += a.mean[d] ** 2
        squares_b += b.mean[d] ** 2
    out[9] = product / np.sqrt(squares_a * squares_b)
    out[10] = _compute_distance(a.mean, b.mean, periodicity, len(a.mean))
    for k in range(6):
        out[11 + k] = _compute_distance(a.mean, b.mean, edges[k], edges[k + 1])
    for k in range(2):
        out[17 + k] = _compute_distance(a.std, b.std, edges[k], edges[k + 1])
    diagonals = np.empty(7)
    for in_own_key in range(2):  # first transposed to the best other key, then as it is
        shift = best_shift * (1 - in_own_key)
        _compute_diagonal_similarities(
            a.chroma_progression, a.size[2], b.chroma_progression, b.size[2], shift, _MIN_DIAGONAL, coverage, diagonals
        )
        if in_own_key == 0:
            out[19] = diagonals[1]
    for k in range(7):
        out[20 + k] = diagonals[k]
    out[27] = np.log(b.size[0] / a.size[0])
    out[28] = np.log(a.size[0])
    out[29] = np.log(b.size[0])


def compute_comparison_features(one: PreparedDescriptor, other: PreparedDescriptor) -> Floats:
    """Compute the distances and similarities of two sections, from which the log-odds that they are the same follow.

    The shorter section is compared with the longer one, whatever the order.

    Returns float64 (N_COMPARISON_FEATURES,), to which the weights of `LabelModel` belong.
    """
    a, b = (one, other) if one.size[0] <= other.size[0] else (other, one)
    out = np.empty(N_COMPARISON_FEATURES)
    _compute_comparison(a, b, _GROUP_EDGES, _COVERAGE, out)
    return out
