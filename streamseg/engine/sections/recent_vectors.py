"""The last texture vectors, contiguous in memory, so that a kernel can process them."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.row_buffer import RowBuffer
from streamseg.engine.features.texture import VECTOR_DIMS

Floats: TypeAlias = NDArray[np.float64]


class RecentVectors:
    """Holds the last `capacity` vectors, and the cluster that a river clusterer assigned to each."""

    def __init__(self, capacity: int) -> None:
        """capacity: number of vectors."""
        self._rows = RowBuffer(VECTOR_DIMS, capacity)
        self._clusters: deque[int | None] = deque(maxlen=capacity)

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self._clusters)

    @property
    def vectors(self) -> Floats:
        """All vectors, the latest last, shape (n, VECTOR_DIMS); valid until the next `push`."""
        return self._rows.rows

    def between(self, begin: int, end: int) -> tuple[Floats, list[int | None]]:
        """Vectors `begin` to `end` - 1, and their clusters; valid until the next `push`."""
        return self._rows.rows[begin:end], list(self._clusters)[begin:end]

    def push(self, vector: Floats, cluster: int | None) -> None:
        """Add a vector, shape (VECTOR_DIMS,), and its cluster, if there is one."""
        self._rows.extend(1)[:] = vector
        self._clusters.append(cluster)

    def clear(self) -> None:
        """Remove all vectors."""
        self._rows.drop_oldest(len(self))
        self._clusters.clear()
