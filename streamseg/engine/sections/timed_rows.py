"""Rows of measurements with the time of each."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamseg.engine.features.row_buffer import RowBuffer

Times: TypeAlias = NDArray[np.float64]


class TimedRows:
    """Holds rows and their times, the oldest first, until they are dropped. Memory grows as needed."""

    def __init__(self, columns: int, dtype: DTypeLike) -> None:
        """columns, dtype: of the rows."""
        self._times, self._rows = RowBuffer(1), RowBuffer(columns, dtype=dtype)

    @property
    def times(self) -> Times:
        """All times, shape (n,), seconds; valid until the next `extend`."""
        return self._times.rows[:, 0]

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, shape (n, columns); valid until the next `extend`."""
        return self._rows.rows

    def extend(self, n: int) -> tuple[Times, NDArray[Any]]:
        """Add n rows; returns their times, shape (n,), and the rows, shape (n, columns), for the caller to write."""
        return self._times.extend(n)[:, 0], self._rows.extend(n)

    def drop_oldest(self, n: int) -> None:
        """Remove the n oldest rows."""
        self._times.drop_oldest(n)
        self._rows.drop_oldest(n)
