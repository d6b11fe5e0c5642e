"""Stores the last texture vectors, contiguous in memory, so that a kernel can process them."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.row_buffer import RowBuffer
from streamseg.engine.features.texture import VECTOR_DIMS

Floats: TypeAlias = NDArray[np.float64]


class RecentVectors:
    """Stores the newest texture vectors, up to a fixed number, each with the number of its cluster or None."""

    def __init__(self, capacity: int) -> None:
        """capacity: how many vectors are stored; each further one replaces the oldest. Only river assigns clusters."""
        self._rows = RowBuffer(VECTOR_DIMS, capacity)
        self._clusters: deque[int | None] = deque(maxlen=capacity)

    def __len__(self) -> int:
        """Return the number of vectors stored."""
        return len(self._clusters)

    @property
    def vectors(self) -> Floats:
        """All stored texture vectors, the newest last, shape (n, VECTOR_DIMS); valid until the next `push`."""
        return self._rows.rows

    def vectors_and_clusters(self, first_index: int, end_index: int) -> tuple[Floats, list[int | None]]:
        """Return texture vectors `first_index` to `end_index` - 1, 0 being the oldest stored, and their clusters.

        The vectors have the shape (n, VECTOR_DIMS) and are valid until the next `push`.
        """
        return self._rows.rows[first_index:end_index], list(self._clusters)[first_index:end_index]

    def push(self, vector: Floats, cluster_number: int | None) -> None:
        """Store a texture vector, shape (VECTOR_DIMS,), and its cluster number or None; if full, drop the oldest."""
        self._rows.extend(1)[:] = vector
        self._clusters.append(cluster_number)

    def clear(self) -> None:
        """Remove all vectors and cluster numbers."""
        self._rows.drop_oldest(len(self))
        self._clusters.clear()
