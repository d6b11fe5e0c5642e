"""The last texture vectors, side by side in memory, so that a kernel can walk over them."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import VECTOR_DIMS

Floats = NDArray[np.float64]


class RecentVectors:
    """Keeps the last `capacity` vectors, and what a clusterer took each of them for."""

    def __init__(self, capacity: int) -> None:
        self._buffer = np.zeros((2 * capacity, VECTOR_DIMS))  # twice, so that the past is moved once in a while only
        self._end = 0
        self._clusters: deque[int | None] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._clusters)

    @property
    def vectors(self) -> Floats:
        """The latest last, shape (n, VECTOR_DIMS); until the next `push`."""
        return self._buffer[self._end - len(self) : self._end]

    @property
    def clusters(self) -> list[int | None]:
        """One for each of the vectors."""
        return list(self._clusters)

    def push(self, vector: Floats, cluster: int | None) -> None:
        """Take the next one."""
        if self._end == len(self._buffer):
            kept = self.vectors.copy()
            self._buffer[: len(kept)], self._end = kept, len(kept)
        self._buffer[self._end] = vector
        self._end += 1
        self._clusters.append(cluster)

    def clear(self) -> None:
        """Forget them all."""
        self._clusters.clear()
