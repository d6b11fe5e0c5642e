"""Holds the newest rows of a stream in one array that a kernel can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_INITIAL_ROWS = 1_024


class RowBuffer:
    """Holds rows of numbers in order of arrival: new rows are added at the end, old rows dropped from the beginning.

    Rows are moved only when the memory is used up, which is once in `max_rows` rows or more. It can be pickled.

    columns: numbers in a row.
    max_rows: the oldest rows beyond this number are dropped when rows are added, but none of those that one call adds;
    None: all rows are held until `drop_oldest`, and the memory grows with them.
    dtype: of the numbers.
    """

    def __init__(self, columns: int, max_rows: int | None = None, dtype: DTypeLike = np.float64) -> None:
        self._max_rows = max_rows
        self._memory = np.zeros((2 * max_rows if max_rows else _INITIAL_ROWS, columns), dtype)
        self._begin = self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, oldest first, shape (len(self), columns); a view that is valid until the next `extend`."""
        return self._memory[self._begin : self._end]

    def extend(self, n: int) -> NDArray[Any]:
        """Add n rows of undefined content; return a view of them, shape (n, columns), for the caller to write."""
        if self._max_rows is not None and self._end + n - self._begin > self._max_rows:
            self._begin = min(self._end, self._end + n - self._max_rows)
        if self._end + n > len(self._memory):
            self._make_room(n)
        self._end += n
        return self._memory[self._end - n : self._end]

    def drop_oldest(self, n: int) -> None:
        """Remove the n oldest rows: all rows if there are fewer, none if n is below 1."""
        self._begin += min(max(n, 0), len(self))

    def _make_room(self, n: int) -> None:
        """Move the rows to the beginning of the memory, or of a larger one if they and n more fill over half of it."""
        rows, size = self.rows, len(self._memory)
        while size < 2 * (len(rows) + n):
            size *= 2
        if size > len(self._memory):
            self._memory = np.zeros((size, rows.shape[1]), rows.dtype)
        self._memory[: len(rows)] = rows
        self._begin, self._end = 0, len(rows)
