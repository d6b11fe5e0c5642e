"""Estimates pitch from the power spectrum of a frame by autocorrelation: the inverse transform of the power.

Boersma (1993): the autocorrelation of the windowed frame over that of the window; the best peak less a small cost for
each octave downwards. Ours differs: only the lower 3.2 kHz are transformed back (half as many points, smooth peaks);
no path over frames is searched, so the result comes with the frame; and a frame is too quiet to be voiced relative to
the loudest recent frame, not to the loudest of the whole recording.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import Complexes, Floats, make_hann_window
from streamseg.engine.kernels import subkernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND

LOWEST_HZ, HIGHEST_HZ = 60.0, 1_000.0
OCTAVE_COST: Final = 0.04
VOICING_THRESHOLD: Final = 0.45  # Boersma's
MIN_AUTOCORRELATION: Final = 1e-5  # at lag 0; below, the frame is unvoiced
VOICED_RANGE_DB: Final = 25.0  # below the loudest recent frame: what is quieter is an echo, a breath, the room
FADE_DB: Final = 0.5 / FRAMES_PER_SECOND  # per frame, of the loudest recent level
FIRST_BIN, END_BIN = 2, 300  # the end is a multiple of four
POINTS: Final = FRAME // 2
HALF: Final = POINTS // 2
LAG_RATE: Final = ENGINE_RATE * POINTS / FRAME  # lags per second
FIRST_LAG: Final = int(LAG_RATE / HIGHEST_HZ)
END_LAG: Final = int(LAG_RATE / LOWEST_HZ) + 2

F0: Final = COLUMNS["f0_hz"].start
VOICING: Final = COLUMNS["voicing"].start
RMS: Final = COLUMNS["rms_db"].start


def make_inverse_window_autocorrelation() -> Floats:
    """Make the reciprocal of the Hann window's autocorrelation (1 at lag 0) for each lag, float64 (END_LAG + 1,)."""
    correlation = np.fft.irfft(np.abs(np.fft.rfft(make_hann_window(FRAME))) ** 2)[: 2 * (END_LAG + 1) : 2]
    inverse: Floats = correlation[0] / correlation
    return inverse


def make_lag_costs() -> Floats:
    """Make the cost of each lag as a pitch period: 0.04 for each octave below 1,000 Hz, float64 (END_LAG + 1,)."""
    costs: Floats = OCTAVE_COST * np.log2(np.maximum(1, np.arange(END_LAG + 1)) / FIRST_LAG)
    return costs


def make_folding_weights() -> Floats:
    """Make weights that fold a power spectrum to half its length for `compute_autocorrelation`, (3, END_BIN).

    Rows: of a bin at its place; of a bin at its mirror image; in the first odd lag.
    """
    angles = 2.0 * np.pi * np.arange(END_BIN) / POINTS
    folding: Floats = np.stack([0.5 - np.sin(angles), 0.5 + np.sin(angles), np.cos(angles)]) / HALF
    folding[:, :FIRST_BIN] = 0.0
    return folding


@subkernel
def compute_autocorrelation(
    power: Floats, folding: Floats, folded_power: Floats, spectrum: Complexes, correlation: Floats
) -> None:
    """Compute the autocorrelation of a frame from its power spectrum and write lags 0 to END_LAG to `correlation`.

    The transform has half the length (Swarztrauber 1986).
    The power is real and even: the real parts of the transform of the folded power are the even lags, the imaginary
    parts the differences of neighbouring odd lags.

    power: float64 (BINS or more,). folding: from `make_folding_weights`. folded_power: float64 (HALF,), scratch.
    spectrum: complex128 (HALF / 2 + 1,), scratch. correlation: float64 (END_LAG + 3,), written.
    """
    for k in range(END_BIN, HALF):
        folded_power[k] = 0.0
    for k in range(FIRST_BIN, END_BIN):
        folded_power[k] = power[k] * folding[0, k]
    for k in range(FIRST_BIN, END_BIN):
        folded_power[HALF - k] += power[k] * folding[1, k]
    np.fft.rfft(folded_power, out=spectrum)
    a = b = c = d = 0.0
    for k in range(0, END_BIN, 4):
        a += power[u(k)] * folding[2, k]
        b += power[u(k + 1)] * folding[2, k + 1]
        c += power[u(k + 2)] * folding[2, k + 2]
        d += power[u(k + 3)] * folding[2, k + 3]
    odd = (a + b) + (c + d)
    for k in range((END_LAG + 1) // 2 + 1):
        odd -= spectrum[k].imag if k > 0 else 0.0
        correlation[u(2 * k)] = spectrum[k].real
        correlation[u(2 * k + 1)] = odd


@subkernel
def estimate_pitch(
    power: Floats,
    lag_tables: Floats,
    folding: Floats,
    folded_power: Floats,
    spectrum: Complexes,
    correlation: Floats,
    loudest_db: Floats,
    out: Floats,
) -> None:
    """Estimate the pitch of a frame; write f0 (Hz, 0 if unvoiced) and voicing (0 to 1) to `out`, the frame's row.

    power, folding: see `compute_autocorrelation`. lag_tables: float64 (2, END_LAG + 1), rows from
    `make_inverse_window_autocorrelation` and `make_lag_costs`.
    folded_power, spectrum, correlation: scratch, see `compute_autocorrelation`. loudest_db: float64 (1,), state, level
    of the loudest recent frame. out: the frame's RMS is written already.
    """
    loudest_db[0] = max(out[RMS], loudest_db[0] - FADE_DB)
    compute_autocorrelation(power, folding, folded_power, spectrum, correlation)
    out[F0] = 0.0
    out[VOICING] = 0.0
    if correlation[0] < MIN_AUTOCORRELATION:
        return
    for lag in range(FIRST_LAG - 1, END_LAG + 1):
        correlation[lag] *= lag_tables[0, lag]
    best_lag = best_height = 0.0
    best_score = -1e300
    for lag in range(FIRST_LAG, END_LAG):
        left, middle, right = correlation[lag - 1], correlation[lag], correlation[lag + 1]
        if middle >= left and middle > right:
            offset = 0.5 * (left - right) / (left - 2.0 * middle + right)  # the top of the parabola through the three
            height = middle - 0.25 * (left - right) * offset
            score = height - lag_tables[1, lag] * correlation[0]
            if score > best_score:
                best_lag, best_height, best_score = lag + offset, height, score
    strength = best_height / correlation[0]
    out[VOICING] = min(1.0, max(0.0, strength))
    if strength >= VOICING_THRESHOLD and out[RMS] > loudest_db[0] - VOICED_RANGE_DB:
        out[F0] = LAG_RATE / best_lag
