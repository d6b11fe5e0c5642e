"""Computes the features of a half-second window that distinguish speech, music and noise.

Beside level, shape and change of the spectrum there are features of the background: the minimum of each mel band, and
the quietest frames. Between the syllables of a voice alone there is next to nothing; with music there are its partials,
which stay while speech glides.

`frames` is float64 (TOTAL_FRAMES, COLUMNS_TOTAL), oldest first: CONTEXT_FRAMES, then the window itself. `out` is
float64 (N_STATISTICS,); each `_write_…` function returns the index after what it wrote.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.columns import MEL_BANDS
from streamseg.engine.kernels import kernel, subkernel

Floats = NDArray[np.float64]

WINDOW_FRAMES: Final = 21
CONTEXT_FRAMES: Final = 18  # before a window, with which its persistence is measured
N_STATISTICS: Final = 124
TOTAL_FRAMES: Final = CONTEXT_FRAMES + WINDOW_FRAMES
_GROUPS: Final = 16  # of four mel bands
_RIDGES: Final = MEL_BANDS - 2  # bands with two neighbours
_HALF_RIDGES: Final = _RIDGES // 2
_N_BACKGROUND_FRAMES: Final = 8  # of TOTAL_FRAMES

_MEL = COLUMNS["log_mel"].start
_CHROMA = COLUMNS["chroma"].start
_CONTRAST = COLUMNS["contrast"].start
_ZCR = COLUMNS["zero_crossing_rate"].start
_FLATNESS = COLUMNS["flatness"].start
_CENTROID = COLUMNS["centroid_hz"].start
_ONSET = COLUMNS["onset"].start
_VOICING = COLUMNS["voicing"].start
_F0 = COLUMNS["f0_hz"].start
_BEAT = COLUMNS["tempo_confidence"].start


@subkernel
def _compute_mean_and_std(x: Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation of one value per frame of the window."""
    total, squares = 0.0, 0.0
    for i in range(WINDOW_FRAMES):
        total += x[i]
    mean = total / WINDOW_FRAMES
    for i in range(WINDOW_FRAMES):
        squares += (x[i] - mean) * (x[i] - mean)
    return mean, np.sqrt(squares / WINDOW_FRAMES)


@subkernel
def _find_range(x: Floats) -> tuple[float, float]:
    """Return the smallest and the largest of one value per frame of the window."""
    low = high = x[0]
    for i in range(1, WINDOW_FRAMES):
        low, high = min(low, x[i]), max(high, x[i])
    return low, high


@subkernel
def _compute_cosine(x: Floats, y: Floats, begin: int, end: int) -> float:
    """Return the cosine of two vectors over the indices `begin` to `end`; 0 where one is zero."""
    xy, xx, yy = 0.0, 0.0, 0.0
    for i in range(begin, end):
        xy += x[i] * y[i]
        xx += x[i] * x[i]
        yy += y[i] * y[i]
    return float(xy / np.sqrt(xx * yy)) if xx > 1e-9 and yy > 1e-9 else 0.0


@subkernel
def _compute_persistence(x: Floats, begin: int, end: int, lag: int) -> float:
    """Return the mean cosine of the window's rows with those `lag` frames before, over the columns `begin` to `end`."""
    total = 0.0
    for f in range(WINDOW_FRAMES):
        total += _compute_cosine(x[CONTEXT_FRAMES + f], x[CONTEXT_FRAMES + f - lag], begin, end)
    return total / WINDOW_FRAMES


@subkernel
def _write_spectrum(frames: Floats, loud: Floats, band: Floats, out: Floats) -> int:
    """Write level, shape and change of the mel bands. loud, band: scratch, a value per frame."""
    n = WINDOW_FRAMES
    for f in range(n):
        total = 0.0
        for m in range(MEL_BANDS):
            total += frames[CONTEXT_FRAMES + f, _MEL + m]
        loud[f] = total / MEL_BANDS
    mean, std = _compute_mean_and_std(loud)
    low, high = _find_range(loud)
    out[0], out[1], out[2] = std, low - mean, high - mean
    at = 3
    for g in range(_GROUPS):
        for f in range(n):
            total = 0.0
            for m in range(4):
                total += frames[CONTEXT_FRAMES + f, _MEL + 4 * g + m]
            band[f] = total / 4
        group_mean, std = _compute_mean_and_std(band)
        low, high = _find_range(band)
        out[at], out[at + 1], out[at + 2] = group_mean - mean, std, low - group_mean
        at += 3
    for quarter in range(4):
        change = 0.0
        for f in range(n):
            for m in range(16 * quarter, 16 * quarter + 16):
                change += abs(frames[CONTEXT_FRAMES + f, _MEL + m] - frames[CONTEXT_FRAMES + f - 1, _MEL + m])
        out[at] = change / (16 * n)
        at += 1
    return at


@subkernel
def _write_curves(frames: Floats, x: Floats, out: Floats, start: int) -> int:
    """Write statistics of zero crossings, flatness, centroid, onsets, voicing, pitch, beat and contrast. x: scratch."""
    n, at = WINDOW_FRAMES, start
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _ZCR]
    out[at], out[at + 1] = _compute_mean_and_std(x)
    for f in range(n):
        x[f] = np.log(frames[CONTEXT_FRAMES + f, _FLATNESS] + 1e-7)
    out[at + 2], out[at + 3] = _compute_mean_and_std(x)
    for f in range(n):
        x[f] = np.log(frames[CONTEXT_FRAMES + f, _CENTROID] + 50.0)
    out[at + 4], out[at + 5] = _compute_mean_and_std(x)
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _ONSET]
    out[at + 6], out[at + 7] = _compute_mean_and_std(x)
    out[at + 8] = _find_range(x)[1]
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _VOICING]
    out[at + 9], out[at + 10] = _compute_mean_and_std(x)
    n_voiced, steps = 0, 0.0
    for f in range(n):
        now, before = frames[CONTEXT_FRAMES + f, _F0], frames[CONTEXT_FRAMES + f - 1, _F0]
        if now > 0.0 and before > 0.0:
            n_voiced += 1
            steps += min(0.2, abs(np.log(now / before)))
    out[at + 11], out[at + 12] = n_voiced / n, steps / max(1, n_voiced)
    out[at + 13] = frames[CONTEXT_FRAMES + n - 1, _BEAT]
    at += 14
    for b in range(7):
        for f in range(n):
            x[f] = frames[CONTEXT_FRAMES + f, _CONTRAST + b]
        out[at], out[at + 1] = _compute_mean_and_std(x)
        at += 2
    return at


@subkernel
def _write_harmony(frames: Floats, out: Floats, start: int) -> int:
    """Write how long pitch classes persist, how large and how variable they are."""
    n, at, zero = WINDOW_FRAMES, start, np.int64(0)
    for lag in (1, 3, 9, 18):
        out[at] = _compute_persistence(frames, _CHROMA + zero, _CHROMA + 12 + zero, lag)
        at += 1
    size, variation = 0.0, 0.0
    for c in range(12):
        total, squares = 0.0, 0.0
        for f in range(n):
            value = frames[CONTEXT_FRAMES + f, _CHROMA + c]
            total += value
            squares += value * value
        size += total / n / 12
        variation += np.sqrt(max(0.0, squares / n - total * total / n / n)) / 12
    out[at], out[at + 1] = size, variation
    return at + 2


@subkernel
def _write_partials(frames: Floats, ridges: Floats, out: Floats, start: int) -> int:
    """Write how strong and how persistent ridges are: mel bands that exceed their neighbours, as partials do.

    ridges: float64 (TOTAL_FRAMES, _RIDGES), written.
    """
    n, at = WINDOW_FRAMES, start
    for f in range(TOTAL_FRAMES):
        for m in range(_RIDGES):
            a, b, c = frames[f, _MEL + m], frames[f, _MEL + m + 1], frames[f, _MEL + m + 2]
            ridges[f, m] = b - 0.5 * (a + c)
    for half in range(2):
        begin = _HALF_RIDGES * half
        for lag in (2, 6, 15):
            out[at] = _compute_persistence(ridges, begin, begin + _HALF_RIDGES, lag)
            at += 1
        total = 0.0
        for f in range(n):
            for m in range(begin, begin + _HALF_RIDGES):
                total += abs(ridges[CONTEXT_FRAMES + f, m])
        out[at] = total / (_HALF_RIDGES * n)
        at += 1
    return at


@subkernel
def _is_background_frame(loud: Floats, f: int) -> bool:
    """Return whether frame f is among the _N_BACKGROUND_FRAMES quietest; of equals, the first ones are."""
    n_quieter = 0
    for other in range(TOTAL_FRAMES):
        n_quieter += loud[other] < loud[f] or (loud[other] == loud[f] and other < f)
    return n_quieter < _N_BACKGROUND_FRAMES


@subkernel
def _write_background(frames: Floats, ridges: Floats, scratch: Floats, out: Floats, start: int) -> None:
    """Write the background: shape, ridges and their persistence in the band minima and in the quietest frames.

    ridges: as `_write_partials` wrote them. scratch: float64 (4, MEL_BANDS).
    """
    at, zero = start, np.int64(0)
    loud, floor, floor_ridges, mean_ridges = scratch[0], scratch[1], scratch[2], scratch[3]
    mean = 0.0
    for m in range(MEL_BANDS):
        floor[m] = frames[0, _MEL + m]
    for f in range(TOTAL_FRAMES):
        total = 0.0
        for m in range(MEL_BANDS):
            x = frames[f, _MEL + m]
            total += x
            floor[m] = min(floor[m], x)
        loud[f] = total / MEL_BANDS
        mean += loud[f] / TOTAL_FRAMES
    for g in range(_GROUPS):
        out[at] = (floor[4 * g] + floor[4 * g + 1] + floor[4 * g + 2] + floor[4 * g + 3]) / 4 - mean
        at += 1
    for m in range(_RIDGES):
        floor_ridges[m] = floor[m + 1] - 0.5 * (floor[m] + floor[m + 2])
        mean_ridges[m] = 0.0
        for f in range(TOTAL_FRAMES):
            mean_ridges[m] += ridges[f, m] / TOTAL_FRAMES
    for third in range(3):
        total = 0.0
        for m in range(20 * third, 20 * third + 20):
            total += abs(floor_ridges[m])
        out[at] = total / 20
        at += 1
    for half in range(2):
        out[at] = _compute_cosine(floor_ridges, mean_ridges, _HALF_RIDGES * half, _HALF_RIDGES * half + _HALF_RIDGES)
        at += 1
    previous = 0
    for f in range(TOTAL_FRAMES):
        previous = f if _is_background_frame(loud, f) else previous
    level, flatness, ridge, persistence, chroma, voicing = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(TOTAL_FRAMES):  # each such frame with the one before it, the first with the last
        if not _is_background_frame(loud, f):
            continue
        level += loud[f] - mean
        flatness += np.log(frames[f, _FLATNESS] + 1e-7)
        voicing += frames[f, _VOICING]
        for m in range(_RIDGES):
            ridge += abs(ridges[f, m]) / (_RIDGES)
        for c in range(12):
            chroma += frames[f, _CHROMA + c] / 12
        persistence += _compute_cosine(ridges[f], ridges[previous], zero, zero + _RIDGES)
        previous = f
    for x in (level, flatness, ridge, persistence, chroma, voicing):
        out[at] = x / _N_BACKGROUND_FRAMES
        at += 1


@kernel
def _compute_window_features(frames: Floats, ridges: Floats, scratch: Floats, out: Floats) -> None:
    """Write all features. ridges: float64 (TOTAL_FRAMES, _RIDGES), scratch: float64 (4, MEL_BANDS), overwritten."""
    at = _write_spectrum(frames, scratch[0], scratch[1], out)
    at = _write_curves(frames, scratch[0], out, at)
    at = _write_harmony(frames, out, at)
    at = _write_partials(frames, ridges, out, at)
    _write_background(frames, ridges, scratch, out, at)


def compute_window_features(frames: Floats, out: Floats) -> None:
    """Compute the features of a half-second window, by which speech and music are recognised; write them to `out`.

    frames: float64 (TOTAL_FRAMES, COLUMNS_TOTAL), oldest first, the window last. out: float64 (N_STATISTICS,).
    """
    _compute_window_features(frames, np.empty((TOTAL_FRAMES, _RIDGES)), np.empty((4, MEL_BANDS)), out)
