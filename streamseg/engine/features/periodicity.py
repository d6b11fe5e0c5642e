"""Computes periodicity: the correlation of the onsets of half a second with those of up to three seconds before.

The autocorrelation of the onset curve is characteristic of tempo and metre (Scheirer 1998; Ellis 2007): a change within
a piece mostly keeps it, another piece mostly does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel

_SHORTEST_LAG, _LONGEST_LAG = 8, 131  # frames: 0.19 to 3 s
_MEAN_FRAMES = 43
_SUMMED_FRAMES = 21  # the hop of the texture
_LOOKAHEAD_FRAMES = 11  # frames after the summed ones
PERIODICITY_DIMS = _LONGEST_LAG - _SHORTEST_LAG + 2  # one per lag, then the energy
PERIODICITY_FRAMES = _LONGEST_LAG + _MEAN_FRAMES + 1 + _SUMMED_FRAMES + _LOOKAHEAD_FRAMES


@kernel
def _add_periodicity_sums(onset: NDArray[np.float64], peaks: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Add the products of the summed frames with those each lag before to out, float64 (PERIODICITY_DIMS,).

    onset: float64 (PERIODICITY_FRAMES,), dB. peaks: float64, as long, zeros; written: onset above its running mean.
    """
    n = len(onset)
    for i in range(_MEAN_FRAMES, n):
        mean = 0.0
        for j in range(i - _MEAN_FRAMES, i):
            mean += onset[j]
        peaks[i] = min(max(onset[i] - 0.9 * mean / _MEAN_FRAMES, 0.0), 6.0)
    first = n - _LOOKAHEAD_FRAMES - _SUMMED_FRAMES
    for i in range(first, first + _SUMMED_FRAMES):
        here = 0.25 * peaks[i - 1] + 0.5 * peaks[i] + 0.25 * peaks[i + 1]
        for lag in range(_SHORTEST_LAG, _LONGEST_LAG + 1):
            j = i - lag
            out[lag - _SHORTEST_LAG] += here * (0.25 * peaks[j - 1] + 0.5 * peaks[j] + 0.25 * peaks[j + 1])
        out[-1] += here * here


def compute_periodicity(onset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of half a second of onset strength with that 0.19 to 3 s before, per lag, then its energy.

    Returns float64 (PERIODICITY_DIMS,), lags in whole frames; the energy is that of the half second. onset:
    float64 (PERIODICITY_FRAMES,), onset strength of the last frames, dB, 0 before the first one.
    """
    out = np.zeros(PERIODICITY_DIMS)
    _add_periodicity_sums(onset, np.zeros(len(onset)), out)
    return out
