"""Computes the power spectrum of a real frame by a Fourier transform of half its length.

Even samples are the real parts, odd ones the imaginary parts of FRAME / 2 complex numbers (Cooley, Lewis & Welch
1970); those are transformed in five passes of radix 4 that need no reordering (Stockham 1966; Van Loan 1992, sec.
1.7). Every pass reads and writes long runs of neighbours, which the compiler vectorises: this is twice as fast as a
general transform of one frame, and as fast for one frame as for many.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.filterbanks import Floats
from streamseg.engine.kernels import subkernel

POINTS: Final = 1_024  # complex
QUARTER: Final = POINTS // 4


def make_twiddle_factors() -> Floats:
    """Make the complex factors by which the radix-4 passes multiply, float64 (6, POINTS / 4).

    They are exp(-2 pi i p k / POINTS). Rows: real and imaginary part of p = 1, 2, 3. Columns: k.
    """
    waves = np.exp(-2j * np.pi / POINTS * np.outer([1, 2, 3], np.arange(QUARTER)))
    rows: Floats = np.stack([part for wave in waves for part in (wave.real, wave.imag)])
    return rows


def make_joining_twiddle_factors() -> Floats:
    """Make the complex factors that join the spectra of even and odd samples, float64 (2, POINTS / 2 + 1).

    They are exp(-2 pi i k / (2 POINTS)). Rows: real and imaginary part. Columns: k.
    """
    wave = np.exp(-1j * np.pi / POINTS * np.arange(POINTS // 2 + 1))
    rows: Floats = np.stack([wave.real, wave.imag])
    return rows


@subkernel
def compute_first_radix4_pass(frame: Floats, window: Floats, br: Floats, bi: Floats, w: Floats) -> None:
    """Multiply a frame by `window`; write the first radix-4 pass of the Fourier transform to br (real), bi (imaginary).

    The pass works on runs of one number. frame, window: float64 (2 * POINTS,). br, bi: float64
    (POINTS,). w: from `make_twiddle_factors`.
    """
    for p in range(QUARTER):
        n0, n1, n2, n3 = u(2 * p), u(2 * (p + QUARTER)), u(2 * (p + 2 * QUARTER)), u(2 * (p + 3 * QUARTER))
        r0, r1, r2, r3 = frame[n0] * window[n0], frame[n1] * window[n1], frame[n2] * window[n2], frame[n3] * window[n3]
        n0, n1, n2, n3 = u(n0 + 1), u(n1 + 1), u(n2 + 1), u(n3 + 1)
        i0, i1, i2, i3 = frame[n0] * window[n0], frame[n1] * window[n1], frame[n2] * window[n2], frame[n3] * window[n3]
        er, ei, fr, fi = r0 + r2, i0 + i2, r0 - r2, i0 - i2
        gr, gi, hr, hi = r1 + r3, i1 + i3, r1 - r3, i1 - i3
        br[u(4 * p)], bi[u(4 * p)] = er + gr, ei + gi
        r, i = fr + hi, fi - hr
        br[u(4 * p + 1)], bi[u(4 * p + 1)] = r * w[0, p] - i * w[1, p], r * w[1, p] + i * w[0, p]
        r, i = er - gr, ei - gi
        br[u(4 * p + 2)], bi[u(4 * p + 2)] = r * w[2, p] - i * w[3, p], r * w[3, p] + i * w[2, p]
        r, i = fr - hi, fi + hr
        br[u(4 * p + 3)], bi[u(4 * p + 3)] = r * w[4, p] - i * w[5, p], r * w[5, p] + i * w[4, p]


@subkernel
def compute_radix4_pass(ar: Floats, ai: Floats, br: Floats, bi: Floats, run: int, w: Floats) -> None:
    """Compute one radix-4 pass of a Fourier transform on the complex numbers ar + i ai; write the result to br + i bi.

    ar, ai, br, bi: float64 (POINTS,), real and imaginary parts. run: length of the runs of numbers that
    the pass works on, 4, 16, 64 or 256. w: from `make_twiddle_factors`.
    """
    for at in range(0, QUARTER, run):
        w0, w1, w2, w3, w4, w5 = w[0, at], w[1, at], w[2, at], w[3, at], w[4, at], w[5, at]
        for j in range(run):
            p, q = at + j, 4 * at + j
            r0, r1, r2, r3 = ar[u(p)], ar[u(p + QUARTER)], ar[u(p + 2 * QUARTER)], ar[u(p + 3 * QUARTER)]
            i0, i1, i2, i3 = ai[u(p)], ai[u(p + QUARTER)], ai[u(p + 2 * QUARTER)], ai[u(p + 3 * QUARTER)]
            er, ei, fr, fi = r0 + r2, i0 + i2, r0 - r2, i0 - i2
            gr, gi, hr, hi = r1 + r3, i1 + i3, r1 - r3, i1 - i3
            br[u(q)], bi[u(q)] = er + gr, ei + gi
            r, i = fr + hi, fi - hr
            br[u(q + run)], bi[u(q + run)] = r * w0 - i * w1, r * w1 + i * w0
            r, i = er - gr, ei - gi
            br[u(q + 2 * run)], bi[u(q + 2 * run)] = r * w2 - i * w3, r * w3 + i * w2
            r, i = fr - hi, fi + hr
            br[u(q + 3 * run)], bi[u(q + 3 * run)] = r * w4 - i * w5, r * w5 + i * w4


@subkernel
def compute_power_spectrum(
    frame: Floats, window: Floats, twiddles: Floats, joining_twiddles: Floats, scratch: Floats, power: Floats
) -> None:
    """Multiply a frame by `window` and write the power spectrum, |DFT|², to `power`, float64 (POINTS + 1 or more,).

    frame: float64 (2 * POINTS,). window: half the window, so that no sum needs halving. twiddles, joining_twiddles:
    from `make_twiddle_factors` and `make_joining_twiddle_factors`. scratch: float64 (4, POINTS).
    """
    ar, ai, br, bi = scratch[0], scratch[1], scratch[2], scratch[3]
    compute_first_radix4_pass(frame, window, ar, ai, twiddles)
    compute_radix4_pass(ar, ai, br, bi, 4, twiddles)  # a copy for each length of run: worth the second of compiling
    compute_radix4_pass(br, bi, ar, ai, 16, twiddles)
    compute_radix4_pass(ar, ai, br, bi, 64, twiddles)
    compute_radix4_pass(br, bi, ar, ai, 256, twiddles)
    power[0] = 4.0 * (ar[0] + ai[0]) * (ar[0] + ai[0])
    power[POINTS] = 4.0 * (ar[0] - ai[0]) * (ar[0] - ai[0])
    middle = POINTS // 2
    for k in range(1, middle):  # separates the spectra of even and odd samples by their symmetry, then joins them
        even_re, even_im = ar[u(k)] + ar[u(POINTS - k)], ai[u(k)] - ai[u(POINTS - k)]
        odd_re, odd_im = ai[u(k)] + ai[u(POINTS - k)], ar[u(POINTS - k)] - ar[u(k)]
        re = odd_re * joining_twiddles[0, k] - odd_im * joining_twiddles[1, k]
        im = odd_re * joining_twiddles[1, k] + odd_im * joining_twiddles[0, k]
        power[u(k)] = (even_re + re) * (even_re + re) + (even_im + im) * (even_im + im)
        power[u(POINTS - k)] = (even_re - re) * (even_re - re) + (even_im - im) * (even_im - im)
    power[middle] = 4.0 * (ar[middle] * ar[middle] + ai[middle] * ai[middle])
