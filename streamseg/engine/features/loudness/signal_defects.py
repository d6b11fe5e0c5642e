"""The health of the signal, which a downmix hides: level, stereo, samples cut off, a stream that is stuck."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel, subkernel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints32 = NDArray[np.int32]

FULL_SCALE: Final = 0.999  # samples this large, several in a row, were cut off
MIN_CLIPPED_SAMPLES: Final = 3
MAX_MAGNITUDE: Final = 8.0
LANES: Final = 64


@subkernel
def sanitise(x: Floats32) -> None:
    """What is not a number counts as 0, what is beyond ±8 as ±8."""
    for i in range(x.size):
        y = x[i] if x[i] == x[i] else np.float32(0.0)
        y = y if y < np.float32(MAX_MAGNITUDE) else np.float32(MAX_MAGNITUDE)
        x[i] = y if y > np.float32(-MAX_MAGNITUDE) else np.float32(-MAX_MAGNITUDE)


@subkernel
def sum_of_squares(x: Floats32, sums: Floats) -> float:
    """The sum of squares, in LANES partial `sums`: so many, in memory, join in vectors."""
    sums[:] = 0.0
    for start in range(0, x.size // LANES * LANES, LANES):
        for lane in range(LANES):
            sums[u(lane)] += float(x[u(start + lane)]) * float(x[u(start + lane)])
    for i in range(x.size // LANES * LANES, x.size):
        sums[0] += float(x[i]) * float(x[i])
    total = 0.0
    for lane in range(LANES):
        total += sums[lane]
    return total


@subkernel
def detect_clipping(planes: Floats32, begin: int, end: int) -> bool:
    """Whether several samples in a row lie at the limit, on the same side, from column `begin` to `end`."""
    run, sign = 0, np.float32(0.0)
    for i in range(begin, end):
        at_limit = np.float32(0.0)
        for c in range(planes.shape[0]):
            x = planes[c, i]
            if abs(x) >= np.float32(FULL_SCALE):
                at_limit = x
        run = run + 1 if at_limit * sign > 0.0 else (1 if at_limit != 0.0 else 0)
        sign = at_limit
        if run >= MIN_CLIPPED_SAMPLES:
            return True
    return False


@subkernel
def sum_channels(planes: Floats32, begin: int, end: int, total: Floats32) -> None:
    """The sum of the channels from column `begin` to `end`."""
    for i in range(total.size):
        total[i] = planes[0, begin + i]
    for c in range(1, planes.shape[0]):
        plane = planes[c, begin:end]
        for i in range(plane.size):
            total[i] += plane[i]


@kernel  # which the tests call by itself
def find_repetition_lag(past: Floats32, longest: int, verified: int, alike: Ints32) -> int:
    """The lag, in samples, at which the last `verified` samples repeat exactly; 0 when there is none, or all are 0.

    The Z algorithm (Gusfield 1997, sec. 1.3) from the newest sample backwards, so that no sound takes more than two
    comparisons a sample. alike: scratch of more than `longest`; how many samples are the same at each lag.
    """
    last = past.size - 1
    sounding = False
    for i in range(past.size - verified, past.size):
        sounding |= past[i] != 0.0
    if not sounding:
        return 0
    left = right = 0  # lags from `left` on are the same as the newest samples, up to before `right`
    for lag in range(1, longest + 1):
        n = min(right - lag, alike[lag - left]) if lag < right else 0
        while n < verified and past[last - n] == past[last - lag - n]:
            n += 1
        if n == verified:
            return lag
        alike[lag] = n
        if lag + n > right:
            left, right = lag, lag + n
    return 0
