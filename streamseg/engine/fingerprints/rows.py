"""Rows of a fingerprint: how each mel band changes against the next, over two spans of time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.kernels import allocating_kernel as kernel

Floats = NDArray[np.float64]


Ints = NDArray[np.int64]


FingerprintRows = NDArray[np.int16]


LAGS: Final = (3, 8)  # frames


ROW_HOP: Final = 2  # frames: rows compared, and places tried


BANDS: Final = 63


ROW_WIDTH: Final = len(LAGS) * BANDS + 2  # padded to a multiple of eight


QUANTISATION_LEVELS: Final = 7


FULL_SCALE_DB: Final = 6.0  # a step that changes by so much counts in full


LOG_MEL = COLUMNS["log_mel"]


@kernel
def compute_row(mel_db: Floats, before: Floats, out: FingerprintRows) -> None:
    """The print of one frame: mel_db its bands, before[k] the bands LAGS[k] frames ago."""
    for k in range(len(LAGS)):
        for b in range(BANDS):
            change = (mel_db[b] - mel_db[b + 1]) - (before[k, b] - before[k, b + 1])
            degree = np.floor(min(max(change / FULL_SCALE_DB, -1.0), 1.0) * QUANTISATION_LEVELS + 0.5)
            out[k * BANDS + b] = np.int16(degree)


def row_energies(rows: FingerprintRows) -> Floats:
    """The sum of squares of each row, shape (n,)."""
    squares: Floats = np.sum(rows.astype(np.float64) ** 2, axis=1)
    return squares
