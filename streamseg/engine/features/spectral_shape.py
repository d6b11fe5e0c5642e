"""Measures the shape of a spectrum: centroid, bandwidth, rolloff, flatness."""

from __future__ import annotations

import math
from typing import Final

from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import BIN_HZ, BINS, FLOOR, Floats, Ints
from streamseg.engine.kernels import subkernel

ROLLOFF: Final = 0.85  # share of all magnitude below the rolloff
CHUNKS: Final = 32  # of the spectrum, whose sums are computed first
_EVEN: Final = BINS - 1  # 1,024 bins go in lanes of eight; the last one alone
CHUNK_BINS: Final = _EVEN // CHUNKS
_MANTISSA: Final = (1 << 52) - 1
_ONE: Final = 0x3FF << 52  # the exponent bits of numbers from 1 to 2
_LOG_2: Final = math.log(2.0)

CENTROID: Final = COLUMNS["centroid_hz"].start
BANDWIDTH: Final = COLUMNS["bandwidth_hz"].start
ROLLOFF_HZ: Final = COLUMNS["rolloff_hz"].start
FLATNESS: Final = COLUMNS["flatness"].start


@subkernel
def compute_flatness(power: Floats, clamped_power: Floats, clamped_bits: Ints) -> float:
    """Return the spectral flatness, 0 to 1: the geometric mean of all bins' power, divided by the arithmetic mean.

    Power below FLOOR counts as FLOOR. power: float64 (BINS or more,). clamped_power: float64, as long, scratch;
    clamped_bits: its memory as int64.

    The geometric mean needs a logarithm of every bin. Here the mantissas are multiplied (eight running products of
    128 numbers below 2) and the exponents added, so that three logarithms serve for all.
    """
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
    for k in range(BINS):
        clamped_power[k] = power[k] if power[k] > FLOOR else FLOOR
    for k in range(0, _EVEN, 8):
        t0 += clamped_power[k]
        t1 += clamped_power[u(k + 1)]
        t2 += clamped_power[u(k + 2)]
        t3 += clamped_power[u(k + 3)]
        t4 += clamped_power[u(k + 4)]
        t5 += clamped_power[u(k + 5)]
        t6 += clamped_power[u(k + 6)]
        t7 += clamped_power[u(k + 7)]
    total = ((t0 + t4) + (t1 + t5)) + ((t2 + t6) + (t3 + t7)) + clamped_power[_EVEN]
    last = math.log(clamped_power[_EVEN])
    exponents = 0
    for k in range(_EVEN):
        exponents += (clamped_bits[k] >> 52) - 1023
        clamped_bits[k] = (clamped_bits[k] & _MANTISSA) | _ONE
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 1.0
    for k in range(0, _EVEN, 8):
        t0 *= clamped_power[k]
        t1 *= clamped_power[u(k + 1)]
        t2 *= clamped_power[u(k + 2)]
        t3 *= clamped_power[u(k + 3)]
        t4 *= clamped_power[u(k + 4)]
        t5 *= clamped_power[u(k + 5)]
        t6 *= clamped_power[u(k + 6)]
        t7 *= clamped_power[u(k + 7)]
    logarithm = math.log((t0 * t1) * (t2 * t3)) + math.log((t4 * t5) * (t6 * t7)) + exponents * _LOG_2 + last
    ratio: float = math.exp(logarithm / BINS) / (total / BINS)
    return ratio


@subkernel
def write_spectral_shape(
    magnitude: Floats, power: Floats, bins: Floats, clamped_power: Floats, clamped_bits: Ints, sums: Floats, out: Floats
) -> None:
    """Write the spectral centroid, bandwidth, rolloff (all in Hz) and flatness (0 to 1) to `out`, the frame's row.

    magnitude, power: float64 (BINS or more,). bins: float64 (BINS,), 0, 1, 2, … clamped_power, clamped_bits: see
    `compute_flatness`. sums: float64 (CHUNKS,), scratch. out: float64 (COLUMNS_TOTAL,).
    """
    m0 = m1 = m2 = 0.0
    for chunk in range(CHUNKS):
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = 0.0
        for k in range(chunk * CHUNK_BINS, chunk * CHUNK_BINS + CHUNK_BINS, 4):
            x0, x1, x2, x3 = magnitude[u(k)], magnitude[u(k + 1)], magnitude[u(k + 2)], magnitude[u(k + 3)]
            f0, f1, f2, f3 = bins[u(k)], bins[u(k + 1)], bins[u(k + 2)], bins[u(k + 3)]
            y0, y1, y2, y3 = x0 * f0, x1 * f1, x2 * f2, x3 * f3
            a0 += x0
            a1 += x1
            a2 += x2
            a3 += x3
            b0 += y0
            b1 += y1
            b2 += y2
            b3 += y3
            c0 += y0 * f0
            c1 += y1 * f1
            c2 += y2 * f2
            c3 += y3 * f3
        sums[chunk] = (a0 + a1) + (a2 + a3)
        m0 += sums[chunk]
        m1 += (b0 + b1) + (b2 + b3)
        m2 += (c0 + c1) + (c2 + c3)
    last = magnitude[_EVEN]
    m0 += last
    m1 += last * _EVEN
    m2 += last * _EVEN * _EVEN
    if m0 > 0.0:
        centre = m1 / m0
        out[CENTROID] = centre * BIN_HZ
        out[BANDWIDTH] = math.sqrt(max(0.0, m2 / m0 - centre * centre)) * BIN_HZ
    else:
        out[CENTROID] = 0.0
        out[BANDWIDTH] = 0.0
    chunk = 0
    magnitude_below = 0.0
    while chunk < CHUNKS and magnitude_below + sums[chunk] < ROLLOFF * m0:
        magnitude_below += sums[chunk]
        chunk += 1
    k = chunk * CHUNK_BINS
    while k < _EVEN and magnitude_below + magnitude[k] < ROLLOFF * m0:
        magnitude_below += magnitude[k]
        k += 1
    out[ROLLOFF_HZ] = k * BIN_HZ

    out[FLATNESS] = compute_flatness(power, clamped_power, clamped_bits)
