"""Measures defects of the signal that a downmix hides: clipping, equal channels, a stream that repeats itself."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel, subkernel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints32 = NDArray[np.int32]

FULL_SCALE: Final = 0.999  # several samples in a row of this magnitude are clipped
MIN_CLIPPED_SAMPLES: Final = 3
MAX_MAGNITUDE: Final = 8.0
LANES: Final = 64


@subkernel
def sanitise_samples(x: Floats32) -> None:
    """Replace NaN by 0, and values beyond ±8 by ±8, in the samples x, float32 (n,), in place."""
    for i in range(x.size):
        y = x[i] if x[i] == x[i] else np.float32(0.0)
        y = y if y < np.float32(MAX_MAGNITUDE) else np.float32(MAX_MAGNITUDE)
        x[i] = y if y > np.float32(-MAX_MAGNITUDE) else np.float32(-MAX_MAGNITUDE)


@subkernel
def sum_squares(x: Floats32, scratch: Floats) -> float:
    """Return the sum of squares of x, float32 (n,).

    scratch: float64 (LANES or more,), for partial sums, which the compiler vectorises.
    """
    scratch[:] = 0.0
    for start in range(0, x.size // LANES * LANES, LANES):
        for lane in range(LANES):
            scratch[u(lane)] += float(x[u(start + lane)]) * float(x[u(start + lane)])
    for i in range(x.size // LANES * LANES, x.size):
        scratch[0] += float(x[i]) * float(x[i])
    total = 0.0
    for lane in range(LANES):
        total += scratch[lane]
    return total


@subkernel
def detect_clipping(planes: Floats32, begin: int, end: int) -> bool:
    """Return whether 3 or more successive samples are at full scale (0.999 or more) with the same sign.

    planes: float32 (channels, …), of which the columns from `begin` to before `end` are examined. A sample counts if it
    is at full scale in any channel.
    """
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
    """Add up the channels, column by column from `begin` to before `end` of `planes`; write the sums to `total`.

    planes: float32 (channels, …). total: float32 (end - begin,).
    """
    for i in range(total.size):
        total[i] = planes[0, begin + i]
    for c in range(1, planes.shape[0]):
        plane = planes[c, begin:end]
        for i in range(plane.size):
            total[i] += plane[i]


@kernel  # not a subkernel, since the tests call it
def find_repetition_lag(past: Floats32, max_lag: int, match_length: int, matches: Ints32) -> int:
    """Return the least lag (samples, up to `max_lag`) at which the last `match_length` samples repeat exactly, else 0.

    Also 0 when these samples are all 0. past: float32 (max_lag + match_length or more,).
    matches: int32 (max_lag + 1,), scratch: how many samples are equal at each lag.

    The Z algorithm (Gusfield 1997, sec. 1.3) from the newest sample backwards, so that no sound takes more than two
    comparisons per sample.
    """
    last = past.size - 1
    has_sound = False
    for i in range(past.size - match_length, past.size):
        has_sound |= past[i] != 0.0
    if not has_sound:
        return 0
    left = right = 0  # samples from lag `left` to before `right` are equal to the newest ones
    for lag in range(1, max_lag + 1):
        n = min(right - lag, matches[lag - left]) if lag < right else 0
        while n < match_length and past[last - n] == past[last - lag - n]:
            n += 1
        if n == match_length:
            return lag
        matches[lag] = n
        if lag + n > right:
            left, right = lag, lag + n
    return 0
