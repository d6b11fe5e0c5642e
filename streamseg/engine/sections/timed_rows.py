"""Stores rows of measurements with the time of each."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamseg.engine.features.row_buffer import RowBuffer

Times: TypeAlias = NDArray[np.float64]


class TimedRows:
    """Stores rows of numbers, each with its time, oldest first; grows until `drop_oldest` removes rows."""

    def __init__(self, columns: int, dtype: DTypeLike) -> None:
        """columns: number of values in a row. dtype: of the values."""
        self._times, self._rows = RowBuffer(1), RowBuffer(columns, dtype=dtype)

    @property
    def times(self) -> Times:
        """The time of each row, shape (n,), seconds; valid until the next `extend`."""
        return self._times.rows[:, 0]

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, shape (n, columns); valid until the next `extend`."""
        return self._rows.rows

    def extend(self, n: int) -> tuple[Times, NDArray[Any]]:
        """Add n empty rows; return views of their times, (n,), and values, (n, columns), which the caller must fill."""
        return self._times.extend(n)[:, 0], self._rows.extend(n)

    def drop_oldest(self, n: int) -> None:
        """Remove the n oldest rows and their times."""
        self._times.drop_oldest(n)
        self._rows.drop_oldest(n)
