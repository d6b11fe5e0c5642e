"""What a block of sound is like, in numbers that tell speech, music and noise apart.

Beside the usual shape and unrest of the spectrum stands what is left when the loud is taken away: the quietest moment
of each mel band, and the quietest frames. Between the syllables of a voice alone lies next to nothing; over music lie
its partials, which stand while speech glides.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.kernels import kernel, subkernel

Floats = NDArray[np.float64]

WINDOW_FRAMES: Final = 21  # frames
CONTEXT_FRAMES: Final = 18  # frames before a block that its persistence is measured against
N_STATISTICS: Final = 124
TOTAL_FRAMES: Final = CONTEXT_FRAMES + WINDOW_FRAMES
_BANDS: Final = 64  # mel
_GROUPS: Final = 16  # of four mel bands
_N_SILENT_FRAMES: Final = 8  # frames of the span: the quietest ones

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
def _mean_and_std(x: Floats) -> tuple[float, float]:
    """Mean and deviation of a number a frame of the block."""
    total, squares = 0.0, 0.0
    for i in range(WINDOW_FRAMES):
        total += x[i]
    mean = total / WINDOW_FRAMES
    for i in range(WINDOW_FRAMES):
        squares += (x[i] - mean) * (x[i] - mean)
    return mean, np.sqrt(squares / WINDOW_FRAMES)


@subkernel
def _range(x: Floats) -> tuple[float, float]:
    """The smallest and the largest of a number a frame of the block."""
    low = high = x[0]
    for i in range(1, WINDOW_FRAMES):
        low, high = min(low, x[i]), max(high, x[i])
    return low, high


@subkernel
def _cosine_similarity(x: Floats, y: Floats, begin: int, end: int) -> float:
    """Cosine of two vectors from place `begin` to `end`; 0 where one is none."""
    xy, xx, yy = 0.0, 0.0, 0.0
    for i in range(begin, end):
        xy += x[i] * y[i]
        xx += x[i] * x[i]
        yy += y[i] * y[i]
    return float(xy / np.sqrt(xx * yy)) if xx > 1e-9 and yy > 1e-9 else 0.0


@subkernel
def _mean_persistence(x: Floats, begin: int, end: int, lag: int) -> float:
    """How alike the block's rows are, from place `begin` to `end`, to those so many frames before."""
    total = 0.0
    for f in range(WINDOW_FRAMES):
        total += _cosine_similarity(x[CONTEXT_FRAMES + f], x[CONTEXT_FRAMES + f - lag], begin, end)
    return total / WINDOW_FRAMES


@subkernel
def _write_spectrum(frames: Floats, loud: Floats, band: Floats, out: Floats) -> int:
    """Level, and shape and unrest of the mel bands; how many numbers that makes."""
    n = WINDOW_FRAMES
    for f in range(n):
        total = 0.0
        for m in range(_BANDS):
            total += frames[CONTEXT_FRAMES + f, _MEL + m]
        loud[f] = total / _BANDS
    mean, std = _mean_and_std(loud)
    low, high = _range(loud)
    out[0], out[1], out[2] = std, low - mean, high - mean
    at = 3
    for g in range(_GROUPS):
        for f in range(n):
            total = 0.0
            for m in range(4):
                total += frames[CONTEXT_FRAMES + f, _MEL + 4 * g + m]
            band[f] = total / 4
        middle, std = _mean_and_std(band)
        low, high = _range(band)
        out[at], out[at + 1], out[at + 2] = middle - mean, std, low - middle
        at += 3
    for quarter in range(4):
        moved = 0.0
        for f in range(n):
            for m in range(16 * quarter, 16 * quarter + 16):
                moved += abs(frames[CONTEXT_FRAMES + f, _MEL + m] - frames[CONTEXT_FRAMES + f - 1, _MEL + m])
        out[at] = moved / (16 * n)
        at += 1
    return at


@subkernel
def _write_course(frames: Floats, x: Floats, out: Floats, start: int) -> int:
    """Crossings, flatness, centroid, onsets, voicing and beat over the block; where the next numbers go."""
    n, at = WINDOW_FRAMES, start
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _ZCR]
    out[at], out[at + 1] = _mean_and_std(x)
    for f in range(n):
        x[f] = np.log(frames[CONTEXT_FRAMES + f, _FLATNESS] + 1e-7)
    out[at + 2], out[at + 3] = _mean_and_std(x)
    for f in range(n):
        x[f] = np.log(frames[CONTEXT_FRAMES + f, _CENTROID] + 50.0)
    out[at + 4], out[at + 5] = _mean_and_std(x)
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _ONSET]
    out[at + 6], out[at + 7] = _mean_and_std(x)
    out[at + 8] = _range(x)[1]
    for f in range(n):
        x[f] = frames[CONTEXT_FRAMES + f, _VOICING]
    out[at + 9], out[at + 10] = _mean_and_std(x)
    voiced, steps = 0, 0.0
    for f in range(n):
        now, before = frames[CONTEXT_FRAMES + f, _F0], frames[CONTEXT_FRAMES + f - 1, _F0]
        if now > 0.0 and before > 0.0:
            voiced += 1
            steps += min(0.2, abs(np.log(now / before)))
    out[at + 11], out[at + 12] = voiced / n, steps / max(1, voiced)
    out[at + 13] = frames[CONTEXT_FRAMES + n - 1, _BEAT]
    at += 14
    for b in range(7):
        for f in range(n):
            x[f] = frames[CONTEXT_FRAMES + f, _CONTRAST + b]
        out[at], out[at + 1] = _mean_and_std(x)
        at += 2
    return at


@subkernel
def _write_harmony(frames: Floats, out: Floats, start: int) -> int:
    """How long pitch classes last, how peaked and how restless they are; where the next numbers go."""
    n, at, none = WINDOW_FRAMES, start, np.int64(0)
    for lag in (1, 3, 9, 18):
        out[at] = _mean_persistence(frames, _CHROMA + none, _CHROMA + 12 + none, lag)
        at += 1
    peaks, unrest = 0.0, 0.0
    for c in range(12):
        total, squares = 0.0, 0.0
        for f in range(n):
            value = frames[CONTEXT_FRAMES + f, _CHROMA + c]
            total += value
            squares += value * value
        peaks += total / n / 12
        unrest += np.sqrt(max(0.0, squares / n - total * total / n / n)) / 12
    out[at], out[at + 1] = peaks, unrest
    return at + 2


@subkernel
def _write_partials(frames: Floats, ridges: Floats, out: Floats, start: int) -> int:
    """Ridges across the mel bands: how strong, how lasting; where the next numbers go."""
    n, at = WINDOW_FRAMES, start
    for f in range(TOTAL_FRAMES):
        for m in range(_BANDS - 2):
            a, b, c = frames[f, _MEL + m], frames[f, _MEL + m + 1], frames[f, _MEL + m + 2]
            ridges[f, m] = b - 0.5 * (a + c)
    for half in range(2):
        begin = 31 * half
        for lag in (2, 6, 15):
            out[at] = _mean_persistence(ridges, begin, begin + 31, lag)
            at += 1
        total = 0.0
        for f in range(n):
            for m in range(begin, begin + 31):
                total += abs(ridges[CONTEXT_FRAMES + f, m])
        out[at] = total / (31 * n)
        at += 1
    return at


@subkernel
def _is_silent_frame(loud: Floats, f: int) -> bool:
    """Whether frame f is one of the _QUIET quietest of the span; of equals, the first ones are."""
    quieter = 0
    for other in range(TOTAL_FRAMES):
        quieter += loud[other] < loud[f] or (loud[other] == loud[f] and other < f)
    return quieter < _N_SILENT_FRAMES


@subkernel
def _write_background(frames: Floats, ridges: Floats, scratch: Floats, out: Floats, start: int) -> None:
    """What is left where the span is quietest: its shape, its ridges and whether they last."""
    at, none = start, np.int64(0)
    loud, floor, bare, usual = scratch[0], scratch[1], scratch[2], scratch[3]
    mean = 0.0
    for m in range(_BANDS):
        floor[m] = frames[0, _MEL + m]
    for f in range(TOTAL_FRAMES):
        total = 0.0
        for m in range(_BANDS):
            x = frames[f, _MEL + m]
            total += x
            floor[m] = min(floor[m], x)
        loud[f] = total / _BANDS
        mean += loud[f] / TOTAL_FRAMES
    for g in range(_GROUPS):
        out[at] = (floor[4 * g] + floor[4 * g + 1] + floor[4 * g + 2] + floor[4 * g + 3]) / 4 - mean
        at += 1
    for m in range(_BANDS - 2):
        bare[m] = floor[m + 1] - 0.5 * (floor[m] + floor[m + 2])
        usual[m] = 0.0
        for f in range(TOTAL_FRAMES):
            usual[m] += ridges[f, m] / TOTAL_FRAMES
    for third in range(3):
        total = 0.0
        for m in range(20 * third, 20 * third + 20):
            total += abs(bare[m])
        out[at] = total / 20
        at += 1
    for half in range(2):
        out[at] = _cosine_similarity(bare, usual, 31 * half, 31 * half + 31)
        at += 1
    before = 0
    for f in range(TOTAL_FRAMES):
        before = f if _is_silent_frame(loud, f) else before
    level, flat, ridge, lasting, pure, voicing = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(TOTAL_FRAMES):  # each quiet one beside the quiet one before it; the first beside the last
        if not _is_silent_frame(loud, f):
            continue
        level += loud[f] - mean
        flat += np.log(frames[f, _FLATNESS] + 1e-7)
        voicing += frames[f, _VOICING]
        for m in range(_BANDS - 2):
            ridge += abs(ridges[f, m]) / (_BANDS - 2)
        for c in range(12):
            pure += frames[f, _CHROMA + c] / 12
        lasting += _cosine_similarity(ridges[f], ridges[before], none, none + _BANDS - 2)
        before = f
    for x in (level, flat, ridge, lasting, pure, voicing):
        out[at] = x / _N_SILENT_FRAMES
        at += 1


@kernel
def _describe_window(frames: Floats, ridges: Floats, scratch: Floats, out: Floats) -> None:
    at = _write_spectrum(frames, scratch[0], scratch[1], out)
    at = _write_course(frames, scratch[0], out, at)
    at = _write_harmony(frames, out, at)
    at = _write_partials(frames, ridges, out, at)
    _write_background(frames, ridges, scratch, out, at)


def describe_window(frames: Floats, out: Floats) -> None:
    """What a block is like. frames: SPAN rows of features, oldest first, the block last; out: STATS numbers."""
    _describe_window(frames, np.empty((TOTAL_FRAMES, _BANDS - 2)), np.empty((4, _BANDS)), out)
