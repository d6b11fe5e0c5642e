"""Computes the rows of a fingerprint: how each mel band changes relative to the next one, over two spans of time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.kernels import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FingerprintRows = NDArray[np.int16]

LAGS: Final = (3, 8)  # frames
ROW_HOP: Final = 2  # frames from one compared row to the next
BANDS: Final = 63
ROW_WIDTH: Final = len(LAGS) * BANDS + 2  # padded to a multiple of eight
QUANTISATION_LEVELS: Final = 7
FULL_SCALE_DB: Final = 6.0  # a change of this size or more is quantised to QUANTISATION_LEVELS

LOG_MEL = COLUMNS["log_mel"]


@kernel
def compute_fingerprint_row(mel_db: Floats, lagged_db: Floats, out: FingerprintRows) -> None:
    """Compute the fingerprint row of one frame, how its mel bands changed since earlier frames; write it to `out`.

    The row is the quantised change of the difference between neighbouring mel bands, over each of LAGS.

    mel_db: float64 (BANDS + 1,), dB, the frame's mel bands.
    lagged_db: float64 (len(LAGS), BANDS + 1), dB, row k the mel bands LAGS[k] frames earlier.
    out: int16 (ROW_WIDTH,), -QUANTISATION_LEVELS to QUANTISATION_LEVELS; the padding is not written.
    """
    for k in range(len(LAGS)):
        for b in range(BANDS):
            change = (mel_db[b] - mel_db[b + 1]) - (lagged_db[k, b] - lagged_db[k, b + 1])
            level = np.floor(min(max(change / FULL_SCALE_DB, -1.0), 1.0) * QUANTISATION_LEVELS + 0.5)
            out[k * BANDS + b] = np.int16(level)


def compute_row_energies(rows: FingerprintRows) -> Floats:
    """Return the sum of squares of each fingerprint row, float64 (n,). rows: int16 (n, ROW_WIDTH)."""
    squares: Floats = np.sum(rows.astype(np.float64) ** 2, axis=1)
    return squares
