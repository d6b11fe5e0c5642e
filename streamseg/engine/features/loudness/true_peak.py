"""Measures true peak (ITU-R BS.1770-5, annex 2): the largest magnitude of the interpolated signal."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel

Floats32 = NDArray[np.float32]
Ints32 = NDArray[np.int32]

PEAK_TAPS: Final = 12  # as written out in `interpolate_points`
PEAK_BETA: Final = 4.0
PEAK_GROUP: Final = 64  # samples that are examined together
LOOKBACK_SAMPLES: Final = PEAK_TAPS - 1  # samples before the first one that its interpolated points depend on
_MAX_SLOT: Final = PEAK_GROUP + LOOKBACK_SAMPLES  # index in the scratch of the maximum's bits
PEAK_SCRATCH_SIZE: Final = _MAX_SLOT + 1


class PeakInterpolators(NamedTuple):
    """The filters that interpolate P points between two samples, and factors that bound the magnitude of these points.

    A point is at most value_gain times the largest magnitude of the samples around it; and at most line_gain times that
    plus curvature_gain times the largest magnitude of their second differences.
    """

    filters: Floats32  # float32 (P, PEAK_TAPS)
    value_gain: float
    line_gain: float
    curvature_gain: float


@lru_cache(maxsize=8)
def design_interpolators(sample_rate: int) -> PeakInterpolators:
    """Design the filters that oversample for true peak: 4 times below 96 kHz, 2 times below 192 kHz, not above."""
    factor = 4 if sample_rate < 96_000 else 2 if sample_rate < 192_000 else 1
    between = np.arange(1, factor) / factor
    middle = PEAK_TAPS // 2 - 1
    t = between[:, None] - (np.arange(PEAK_TAPS) - middle)
    window = np.i0(PEAK_BETA * np.sqrt(np.maximum(0.0, 1.0 - (t / (PEAK_TAPS / 2)) ** 2))) / np.i0(PEAK_BETA)
    filters = np.sinc(t) * window
    # A filter minus the straight line between two samples, as weights of second differences: summation by parts.
    residual = filters.copy()
    residual[:, middle] -= 1.0 - between
    residual[:, middle + 1] -= between
    once = np.cumsum(residual, axis=1)
    twice = np.cumsum(once, axis=1)[:, :-1]
    line = 1.0 + np.abs(once[:, -1]) + 2.0 * np.abs(twice[:, -1])
    gains = (np.abs(filters).sum(axis=1), line, np.abs(twice[:, :-1]).sum(axis=1))
    margin = 1.00001  # points are summed in single precision
    return PeakInterpolators(filters.astype(np.float32), *(margin * float(gain.max(initial=0.0)) for gain in gains))


@subkernel
def find_max_magnitude(bits: Ints32, scratch: Floats32, scratch_bits: Ints32) -> np.float32:
    """Return the largest magnitude of float32 samples; `bits` is their memory as int32 (n,).

    The bits of positive numbers are ordered like the numbers, and integers vectorise. scratch: float32
    (PEAK_SCRATCH_SIZE,); scratch_bits: its memory as int32.
    """
    most = np.int32(0)
    for i in range(bits.size):
        most = max(most, bits[i] & np.int32(0x7FFFFFFF))
    scratch_bits[_MAX_SLOT] = most
    largest: np.float32 = scratch[_MAX_SLOT]
    return largest


@subkernel
def interpolate_points(x: Floats32, h: Floats32, out: Floats32) -> None:
    """Filter x with the interpolation filter h and write one point for each sample to `out`.

    x: float32 (n + LOOKBACK_SAMPLES,). h: float32 (PEAK_TAPS,). out: float32 (n,).
    """
    for i in range(out.size):
        out[i] = (
            (h[0] * x[u(i)] + h[1] * x[u(i + 1)])
            + (h[2] * x[u(i + 2)] + h[3] * x[u(i + 3)])
            + (h[4] * x[u(i + 4)] + h[5] * x[u(i + 5)])
        ) + (
            (h[6] * x[u(i + 6)] + h[7] * x[u(i + 7)])
            + (h[8] * x[u(i + 8)] + h[9] * x[u(i + 9)])
            + (h[10] * x[u(i + 10)] + h[11] * x[u(i + 11)])
        )


@subkernel
def find_true_peak(
    x: Floats32, x_bits: Ints32, tables: PeakInterpolators, peak: np.float32, scratch: Floats32, scratch_bits: Ints32
) -> np.float32:
    """Return the true peak (largest interpolated magnitude) of x, or `peak` if that is larger.

    x: float32 (n,), which begins with the last LOOKBACK_SAMPLES before the measured samples; x_bits: its memory as
    int32. peak: the largest magnitude so far. scratch, scratch_bits: see
    `find_max_magnitude`. Groups of samples whose points cannot exceed the peak so far, which are most, are skipped.
    """
    for start in range(0, x.size - LOOKBACK_SAMPLES, PEAK_GROUP):
        length = min(PEAK_GROUP, x.size - LOOKBACK_SAMPLES - start)
        around = x[start : start + length + LOOKBACK_SAMPLES]
        largest = find_max_magnitude(x_bits[start : start + length + LOOKBACK_SAMPLES], scratch, scratch_bits)
        if largest * tables.value_gain <= peak:
            continue
        for i in range(around.size - 2):
            scratch[i] = (around[u(i)] - around[u(i + 1)]) - (around[u(i + 1)] - around[u(i + 2)])
        curvature = find_max_magnitude(scratch_bits[: around.size - 2], scratch, scratch_bits)
        if largest * tables.line_gain + curvature * tables.curvature_gain <= peak:
            continue
        for p in range(tables.filters.shape[0]):
            interpolate_points(around, tables.filters[p], scratch[:length])
            peak = max(peak, find_max_magnitude(scratch_bits[:length], scratch, scratch_bits))
    return peak
