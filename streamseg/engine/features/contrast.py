"""Spectral contrast: the level of the strongest bins of each octave band over its weakest (Jiang et al. 2002)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import DB, FLOOR, Floats, Ints
from streamseg.engine.kernels import subkernel

CONTRAST: Final = COLUMNS["contrast"].start
SCAN_WIDTH: Final = 32  # bins; no fewer than are averaged at an extreme


@subkernel
def insert_sorted(x: float, strongest: Floats, count: int) -> None:
    """If x exceeds the smallest of the descending values `strongest[:count]`, insert x in order and drop the smallest.

    strongest: float64 (count or more,).
    """
    if x > strongest[u(count - 1)]:
        i = count - 1
        while i > 0 and strongest[u(i - 1)] < x:
            strongest[u(i)] = strongest[u(i - 1)]
            i -= 1
        strongest[u(i)] = x


@subkernel
def sum_extremes(band: Floats, sign: float, count: int, maxima: Floats, strongest: Floats) -> float:
    """Return the sum of the `count` largest values of `band` if sign is 1, of the `count` smallest if it is -1.

    band: float64 (bins,). maxima: float64 (SCAN_WIDTH,), scratch. strongest: float64 (count or more,), scratch.

    The band is read as rows of SCAN_WIDTH values, and first only the maximum of each column is computed, which
    vectorises. Values larger than the last of the `count` largest maxima lie in the columns of these: few are read.
    """
    width = min(SCAN_WIDTH, band.size)
    for j in range(width):
        maxima[j] = sign * band[j]
    for row in range(width, band.size, SCAN_WIDTH):
        part = band[row : min(row + SCAN_WIDTH, band.size)]
        for j in range(part.size):
            x = sign * part[j]
            maxima[j] = x if x > maxima[j] else maxima[j]
    for i in range(count):
        strongest[i] = -np.inf
    for j in range(width):
        insert_sorted(maxima[j], strongest, count)
    least = strongest[count - 1]
    if count > 1:
        for i in range(count):
            strongest[i] = least
        for j in range(width):
            if maxima[j] > least:
                for k in range(j, band.size, SCAN_WIDTH):
                    insert_sorted(sign * band[u(k)], strongest, count)
    total = 0.0
    for i in range(count):
        total += strongest[i]
    return sign * total


@subkernel
def write_contrast(magnitude: Floats, bands: Ints, maxima: Floats, strongest: Floats, out: Floats) -> None:
    """Write the spectral contrast (dB) of each octave band of a magnitude spectrum to `out`, the frame's row.

    Contrast is the mean of the band's strongest magnitudes over that of its weakest. magnitude: float64 (BINS,). bands:
    int64 (bands, 3), from `make_contrast_bands`. maxima, strongest: scratch, see `sum_extremes`.
    """
    for b in range(bands.shape[0]):
        count = bands[b, 2]
        band = magnitude[bands[b, 0] : bands[b, 1]]
        peak = sum_extremes(band, 1.0, count, maxima, strongest) / count
        valley = sum_extremes(band, -1.0, count, maxima, strongest) / count
        out[CONTRAST + b] = DB * (math.log(max(FLOOR, peak)) - math.log(max(FLOOR, valley)))
