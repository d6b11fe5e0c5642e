"""How far the strongest bins of each octave stand above its weakest (Jiang et al. 2002)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import DB, FLOOR, Floats, Ints
from streamseg.engine.kernels import subkernel

CONTRAST: Final = COLUMNS["contrast"].start
SCAN_WIDTH: Final = 32  # of a band, at least as many as are averaged at an extreme


@subkernel
def insert_sorted(x: float, strongest: Floats, count: int) -> None:
    """Put x where it belongs among the `count` strongest, which are in order, if it is one of them."""
    if x > strongest[u(count - 1)]:
        i = count - 1
        while i > 0 and strongest[u(i - 1)] < x:
            strongest[u(i)] = strongest[u(i - 1)]
            i -= 1
        strongest[u(i)] = x


@subkernel
def sum_of_extremes(band: Floats, sign: float, count: int, columns: Floats, strongest: Floats) -> float:
    """Sum of the `taken` largest of sign * band.

    The band is read as rows of COLUMNS_READ numbers, and first only the largest of each column is found, which vectors
    do. What is larger than the last of the `taken` largest of these lies in their columns: few numbers are looked at.
    """
    width = min(SCAN_WIDTH, band.size)
    for j in range(width):
        columns[j] = sign * band[j]
    for row in range(width, band.size, SCAN_WIDTH):
        part = band[row : min(row + SCAN_WIDTH, band.size)]
        for j in range(part.size):
            x = sign * part[j]
            columns[j] = x if x > columns[j] else columns[j]
    for i in range(count):
        strongest[i] = -np.inf
    for j in range(width):
        insert_sorted(columns[j], strongest, count)
    least = strongest[count - 1]
    if count > 1:
        for i in range(count):
            strongest[i] = least
        for j in range(width):
            if columns[j] > least:
                for k in range(j, band.size, SCAN_WIDTH):
                    insert_sorted(sign * band[u(k)], strongest, count)
    total = 0.0
    for i in range(count):
        total += strongest[i]
    return sign * total


@subkernel
def write_contrast(magnitude: Floats, bands: Ints, columns: Floats, strongest: Floats, out: Floats) -> None:
    """Peak minus valley of each octave band, dB: the means of its strongest and weakest magnitudes."""
    for b in range(bands.shape[0]):
        taken = bands[b, 2]
        band = magnitude[bands[b, 0] : bands[b, 1]]
        peak = sum_of_extremes(band, 1.0, taken, columns, strongest) / taken
        valley = sum_of_extremes(band, -1.0, taken, columns, strongest) / taken
        out[CONTRAST + b] = DB * (math.log(max(FLOOR, peak)) - math.log(max(FLOOR, valley)))
