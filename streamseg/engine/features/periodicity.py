"""Periodicity: how the onsets of half a second agree with those of up to three seconds before.

The autocorrelation of the onset curve is a fingerprint of tempo and metre (Scheirer 1998; Ellis 2007): what changes
inside a piece mostly keeps it, another piece mostly does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel

_SHORTEST_LAG, _LONGEST_LAG = 8, 131  # frames: 0.19 to 3 s
_MEAN_FRAMES = 43
_SUMMED_FRAMES = 21  # frames summed, the hop of the texture
_LOOKAHEAD_FRAMES = 11  # frames heard beyond the summed ones
PERIODICITY_DIMS = _LONGEST_LAG - _SHORTEST_LAG + 2  # one per lag, and the energy
PERIODICITY_FRAMES = _LONGEST_LAG + _MEAN_FRAMES + 1 + _SUMMED_FRAMES + _LOOKAHEAD_FRAMES


@kernel
def _periodicity_sums(onset: NDArray[np.float64], peaks: NDArray[np.float64], out: NDArray[np.float64]) -> None:
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
    """Autocorrelation sums of the onset curve over one texture hop, shape (PERIODICITY_DIMS,).

    onset: onset strength in dB of the last PERIODICITY_FRAMES frames, 0 where there were none.
    """
    out = np.zeros(PERIODICITY_DIMS)
    _periodicity_sums(onset, np.zeros(len(onset)), out)
    return out
