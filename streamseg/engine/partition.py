"""Online optimal partitioning with a kernel cost.

The cost of a segment [s, t) is the within-segment scatter in the kernel's feature space,
`C(s,t) = (t-s) - sum_ij k(x_i, x_j) / (t-s)` (Arlot, Celisse & Harchaoui 2019, eq. 5, with k(x,x) = 1), and the
best segmentation up to t is `F(t) = min_s F(s) + C(s,t) + penalty` (Killick, Fearnhead & Eckley 2012, eq. 5).
Every penalty is one more column of the same pass: the kernel sums are shared.

Where we differ, so that memory and time stay bounded for ever: at `capacity` the older half of the nodes
(candidate starts of the last segment) is thinned to every second one, whose weight doubles. A section of any
length keeps its true start as a candidate, seen at a coarser grain; a plain horizon would have to invent a
change once the start falls out of it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LONGEST_PATH = 64


@njit(cache=True, nogil=True)
def _extend(
    vector: NDArray[np.float64],
    step: int,
    gamma: float,
    penalties: NDArray[np.float64],
    min_steps: int,
    n: int,
    vectors: NDArray[np.float64],
    weights: NDArray[np.float64],
    steps: NDArray[np.int64],
    sums: NDArray[np.float64],
    best: NDArray[np.float64],
    previous: NDArray[np.int64],
    ahead_best: NDArray[np.float64],
    ahead_previous: NDArray[np.int64],
) -> None:
    """Add the node of `step`, extend every segment by `vector`, and find the best way to step + 1."""
    dims = vector.shape[0]
    levels = penalties.shape[0]
    for d in range(dims):
        vectors[n, d] = vector[d]
    weights[n] = 1.0
    steps[n] = step
    sums[n] = 1.0
    for level in range(levels):
        best[n, level] = ahead_best[level]
        previous[n, level] = ahead_previous[level]
    to_later = 0.0  # similarity of the new vector to all nodes from i on
    for i in range(n - 1, -1, -1):
        distance = 0.0
        for d in range(dims):
            difference = vectors[i, d] - vector[d]
            distance += difference * difference
        to_later += weights[i] * np.exp(-gamma * distance / dims)
        sums[i] += 2.0 * to_later + 1.0
    for level in range(levels):
        ahead_best[level] = np.inf
        ahead_previous[level] = steps[0]
        for i in range(n + 1):
            length = step + 1 - steps[i]
            if i > 0 and length < min_steps:
                break
            cost = best[i, level] + length - sums[i] / length + penalties[level]
            if cost < ahead_best[level]:
                ahead_best[level] = cost
                ahead_previous[level] = steps[i]


class Partition:
    """The best segmentation of everything heard since the last cut, at several penalties."""

    def __init__(self, dims: int, penalties: tuple[float, ...], *, gamma: float, min_steps: int, capacity: int) -> None:
        self._penalties = np.array(penalties)
        self._gamma = gamma
        self._min_steps = min_steps
        self._capacity = capacity
        self._n = 0
        self._step = 0
        self._vectors = np.zeros((capacity, dims))
        self._weights = np.zeros(capacity)
        self._steps = np.zeros(capacity, np.int64)
        self._sums = np.zeros(capacity)
        self._best = np.zeros((capacity, len(penalties)))
        self._previous = np.zeros((capacity, len(penalties)), np.int64)
        self._ahead_best = np.zeros(len(penalties))
        self._ahead_previous = np.zeros(len(penalties), np.int64)

    def push(self, vector: NDArray[np.float64]) -> None:
        """Take the vector of the next step, shape (dims,), finite."""
        if self._n == self._capacity:
            self._thin()
        _extend(
            vector,
            self._step,
            self._gamma,
            self._penalties,
            self._min_steps,
            self._n,
            self._vectors,
            self._weights,
            self._steps,
            self._sums,
            self._best,
            self._previous,
            self._ahead_best,
            self._ahead_previous,
        )
        self._n += 1
        self._step += 1

    def clear(self) -> None:
        """Forget everything; the next vector is step 0 again."""
        self._n = self._step = 0
        self._ahead_best[:] = 0.0
        self._ahead_previous[:] = 0

    def changes(self, level: int = 0) -> list[int]:
        """The steps at which the best segmentation changes, oldest first; the start itself is none."""
        if self._n == 0:
            return []
        path: list[int] = []
        start = int(self._steps[0])
        at = int(self._ahead_previous[level])
        while at > start and len(path) < _LONGEST_PATH:
            path.append(at)
            node = int(np.searchsorted(self._steps[: self._n], at))
            at = int(self._previous[node, level])
        return path[::-1]

    def gain(self, step: int, level: int = 0) -> float:
        """How much cheaper the past is with a change at `step` than without any after the start.

        In units of the penalty: 1 pays for the change just so. 0 when `step` is no longer a candidate.
        """
        node = int(np.searchsorted(self._steps[: self._n], step))
        if node == 0 or node >= self._n or self._steps[node] != step:
            return 0.0
        whole = self._step - self._steps[0]
        after = self._step - step
        unbroken = self._best[0, level] + whole - self._sums[0] / whole
        broken = self._best[node, level] + after - self._sums[node] / after
        return float((unbroken - broken) / self._penalties[level])

    def cut(self, step: int) -> None:
        """Settle a change at `step`: nothing before it is looked at again."""
        keep = int(np.searchsorted(self._steps[: self._n], step))
        if keep == 0:
            return
        count = self._n - keep
        for array in (self._vectors, self._weights, self._steps, self._sums, self._best, self._previous):
            array[:count] = array[keep : self._n].copy()
        self._n = count
        # A section as short as this cannot follow the cut; a way that did not pass through the cut starts there.
        earliest = step + self._min_steps
        self._best[1:count][self._steps[1:count] < earliest] = np.inf
        for previous in (self._previous[:count], self._ahead_previous):
            previous[previous < earliest] = step

    def _thin(self) -> None:
        """Halve the grain of the older half, so that there is room for more; changes found so far stay."""
        keep = np.ones(self._n, bool)
        keep[1 : self._n // 2 : 2] = False
        for level in range(len(self._penalties)):
            keep[np.searchsorted(self._steps[: self._n], self.changes(level))] = True
        kept = np.flatnonzero(keep)
        count = len(kept)
        # A kept node stands for the dropped ones that follow it.
        self._weights[kept] = np.add.reduceat(self._weights[: self._n], kept)
        for array in (self._vectors, self._weights, self._steps, self._sums, self._best, self._previous):
            array[:count] = array[kept]
        self._n = count
        # Ways through a node that is gone go through the kept one before it.
        for previous in (self._previous[:count], self._ahead_previous):
            node = np.searchsorted(self._steps[:count], previous, side="right") - 1
            previous[...] = self._steps[np.maximum(node, 0)]
