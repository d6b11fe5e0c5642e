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
from streamseg.engine.kernel import kernel, part

Floats = NDArray[np.float64]

BLOCK: Final = 21  # frames
REACH: Final = 18  # frames before a block that its persistence is measured against
STATS: Final = 124
SPAN: Final = REACH + BLOCK
_BANDS: Final = 64  # mel
_GROUPS: Final = 16  # of four mel bands
_QUIET: Final = 8  # frames of the span: the quietest ones

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


@part
def _spread(x: Floats) -> tuple[float, float]:
    """Mean and deviation of a number a frame of the block."""
    total, squares = 0.0, 0.0
    for i in range(BLOCK):
        total += x[i]
    mean = total / BLOCK
    for i in range(BLOCK):
        squares += (x[i] - mean) * (x[i] - mean)
    return mean, np.sqrt(squares / BLOCK)


@part
def _range(x: Floats) -> tuple[float, float]:
    """The smallest and the largest of a number a frame of the block."""
    low = high = x[0]
    for i in range(1, BLOCK):
        low, high = min(low, x[i]), max(high, x[i])
    return low, high


@part
def _alike(x: Floats, y: Floats, begin: int, end: int) -> float:
    """Cosine of two vectors from place `begin` to `end`; 0 where one is none."""
    xy, xx, yy = 0.0, 0.0, 0.0
    for i in range(begin, end):
        xy += x[i] * y[i]
        xx += x[i] * x[i]
        yy += y[i] * y[i]
    return float(xy / np.sqrt(xx * yy)) if xx > 1e-9 and yy > 1e-9 else 0.0


@part
def _lasting(x: Floats, begin: int, end: int, lag: int) -> float:
    """How alike the block's rows are, from place `begin` to `end`, to those so many frames before."""
    total = 0.0
    for f in range(BLOCK):
        total += _alike(x[REACH + f], x[REACH + f - lag], begin, end)
    return total / BLOCK


@part
def _spectrum(frames: Floats, loud: Floats, band: Floats, out: Floats) -> int:
    """Level, and shape and unrest of the mel bands; how many numbers that makes."""
    n = BLOCK
    for f in range(n):
        total = 0.0
        for m in range(_BANDS):
            total += frames[REACH + f, _MEL + m]
        loud[f] = total / _BANDS
    mean, deviation = _spread(loud)
    low, high = _range(loud)
    out[0], out[1], out[2] = deviation, low - mean, high - mean
    at = 3
    for g in range(_GROUPS):
        for f in range(n):
            total = 0.0
            for m in range(4):
                total += frames[REACH + f, _MEL + 4 * g + m]
            band[f] = total / 4
        middle, deviation = _spread(band)
        low, high = _range(band)
        out[at], out[at + 1], out[at + 2] = middle - mean, deviation, low - middle
        at += 3
    for quarter in range(4):
        moved = 0.0
        for f in range(n):
            for m in range(16 * quarter, 16 * quarter + 16):
                moved += abs(frames[REACH + f, _MEL + m] - frames[REACH + f - 1, _MEL + m])
        out[at] = moved / (16 * n)
        at += 1
    return at


@part
def _course(frames: Floats, x: Floats, out: Floats, start: int) -> int:
    """Crossings, flatness, centroid, onsets, voicing and beat over the block; where the next numbers go."""
    n, at = BLOCK, start
    for f in range(n):
        x[f] = frames[REACH + f, _ZCR]
    out[at], out[at + 1] = _spread(x)
    for f in range(n):
        x[f] = np.log(frames[REACH + f, _FLATNESS] + 1e-7)
    out[at + 2], out[at + 3] = _spread(x)
    for f in range(n):
        x[f] = np.log(frames[REACH + f, _CENTROID] + 50.0)
    out[at + 4], out[at + 5] = _spread(x)
    for f in range(n):
        x[f] = frames[REACH + f, _ONSET]
    out[at + 6], out[at + 7] = _spread(x)
    out[at + 8] = _range(x)[1]
    for f in range(n):
        x[f] = frames[REACH + f, _VOICING]
    out[at + 9], out[at + 10] = _spread(x)
    voiced, steps = 0, 0.0
    for f in range(n):
        now, before = frames[REACH + f, _F0], frames[REACH + f - 1, _F0]
        if now > 0.0 and before > 0.0:
            voiced += 1
            steps += min(0.2, abs(np.log(now / before)))
    out[at + 11], out[at + 12] = voiced / n, steps / max(1, voiced)
    out[at + 13] = frames[REACH + n - 1, _BEAT]
    at += 14
    for b in range(7):
        for f in range(n):
            x[f] = frames[REACH + f, _CONTRAST + b]
        out[at], out[at + 1] = _spread(x)
        at += 2
    return at


@part
def _harmony(frames: Floats, out: Floats, start: int) -> int:
    """How long pitch classes last, how peaked and how restless they are; where the next numbers go."""
    n, at, none = BLOCK, start, np.int64(0)
    for lag in (1, 3, 9, 18):
        out[at] = _lasting(frames, _CHROMA + none, _CHROMA + 12 + none, lag)
        at += 1
    peaks, unrest = 0.0, 0.0
    for c in range(12):
        total, squares = 0.0, 0.0
        for f in range(n):
            value = frames[REACH + f, _CHROMA + c]
            total += value
            squares += value * value
        peaks += total / n / 12
        unrest += np.sqrt(max(0.0, squares / n - total * total / n / n)) / 12
    out[at], out[at + 1] = peaks, unrest
    return at + 2


@part
def _partials(frames: Floats, ridges: Floats, out: Floats, start: int) -> int:
    """Ridges across the mel bands: how strong, how lasting; where the next numbers go."""
    n, at = BLOCK, start
    for f in range(SPAN):
        for m in range(_BANDS - 2):
            a, b, c = frames[f, _MEL + m], frames[f, _MEL + m + 1], frames[f, _MEL + m + 2]
            ridges[f, m] = b - 0.5 * (a + c)
    for half in range(2):
        begin = 31 * half
        for lag in (2, 6, 15):
            out[at] = _lasting(ridges, begin, begin + 31, lag)
            at += 1
        total = 0.0
        for f in range(n):
            for m in range(begin, begin + 31):
                total += abs(ridges[REACH + f, m])
        out[at] = total / (31 * n)
        at += 1
    return at


@part
def _quiet(loud: Floats, f: int) -> bool:
    """Whether frame f is one of the _QUIET quietest of the span; of equals, the first ones are."""
    quieter = 0
    for other in range(SPAN):
        quieter += loud[other] < loud[f] or (loud[other] == loud[f] and other < f)
    return quieter < _QUIET


@part
def _beneath(frames: Floats, ridges: Floats, scratch: Floats, out: Floats, start: int) -> None:
    """What is left where the span is quietest: its shape, its ridges and whether they last."""
    at, none = start, np.int64(0)
    loud, floor, bare, usual = scratch[0], scratch[1], scratch[2], scratch[3]
    mean = 0.0
    for m in range(_BANDS):
        floor[m] = frames[0, _MEL + m]
    for f in range(SPAN):
        total = 0.0
        for m in range(_BANDS):
            x = frames[f, _MEL + m]
            total += x
            floor[m] = min(floor[m], x)
        loud[f] = total / _BANDS
        mean += loud[f] / SPAN
    for g in range(_GROUPS):
        out[at] = (floor[4 * g] + floor[4 * g + 1] + floor[4 * g + 2] + floor[4 * g + 3]) / 4 - mean
        at += 1
    for m in range(_BANDS - 2):
        bare[m] = floor[m + 1] - 0.5 * (floor[m] + floor[m + 2])
        usual[m] = 0.0
        for f in range(SPAN):
            usual[m] += ridges[f, m] / SPAN
    for third in range(3):
        total = 0.0
        for m in range(20 * third, 20 * third + 20):
            total += abs(bare[m])
        out[at] = total / 20
        at += 1
    for half in range(2):
        out[at] = _alike(bare, usual, 31 * half, 31 * half + 31)
        at += 1
    before = 0
    for f in range(SPAN):
        before = f if _quiet(loud, f) else before
    level, flat, ridge, lasting, pure, voicing = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for f in range(SPAN):  # each quiet one beside the quiet one before it; the first beside the last
        if not _quiet(loud, f):
            continue
        level += loud[f] - mean
        flat += np.log(frames[f, _FLATNESS] + 1e-7)
        voicing += frames[f, _VOICING]
        for m in range(_BANDS - 2):
            ridge += abs(ridges[f, m]) / (_BANDS - 2)
        for c in range(12):
            pure += frames[f, _CHROMA + c] / 12
        lasting += _alike(ridges[f], ridges[before], none, none + _BANDS - 2)
        before = f
    for x in (level, flat, ridge, lasting, pure, voicing):
        out[at] = x / _QUIET
        at += 1


@kernel
def _describe(frames: Floats, ridges: Floats, scratch: Floats, out: Floats) -> None:
    at = _spectrum(frames, scratch[0], scratch[1], out)
    at = _course(frames, scratch[0], out, at)
    at = _harmony(frames, out, at)
    at = _partials(frames, ridges, out, at)
    _beneath(frames, ridges, scratch, out, at)


def describe(frames: Floats, out: Floats) -> None:
    """What a block is like. frames: SPAN rows of features, oldest first, the block last; out: STATS numbers."""
    _describe(frames, np.empty((SPAN, _BANDS - 2)), np.empty((4, _BANDS)), out)
