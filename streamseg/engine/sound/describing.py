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
from streamseg.engine.kernel import kernel_of

kernel = kernel_of(__file__)

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


@kernel
def _spread(x: Floats, out: Floats, at: int) -> None:
    """Mean and deviation of x into out[at], out[at + 1]."""
    total, squares = 0.0, 0.0
    for i in range(x.size):
        total += x[i]
    mean = total / x.size
    for i in range(x.size):
        squares += (x[i] - mean) * (x[i] - mean)
    out[at], out[at + 1] = mean, np.sqrt(squares / x.size)


@kernel
def _alike(x: Floats, y: Floats) -> float:
    """Cosine of two vectors; 0 where one is none."""
    xy, xx, yy = 0.0, 0.0, 0.0
    for i in range(x.size):
        xy += x[i] * y[i]
        xx += x[i] * x[i]
        yy += y[i] * y[i]
    return float(xy / np.sqrt(xx * yy)) if xx > 1e-9 and yy > 1e-9 else 0.0


@kernel
def _lasting(x: Floats, lag: int) -> float:
    """How alike the block's rows are to those so many frames before."""
    total = 0.0
    for f in range(BLOCK):
        total += _alike(x[REACH + f], x[REACH + f - lag])
    return total / BLOCK


@kernel
def _spectrum(frames: Floats, out: Floats) -> int:
    """Level, and shape and unrest of the mel bands; how many numbers that makes."""
    n = BLOCK
    loud, band, pair = np.empty(n), np.empty(n), np.empty(2)
    for f in range(n):
        total = 0.0
        for m in range(_BANDS):
            total += frames[REACH + f, _MEL + m]
        loud[f] = total / _BANDS
    _spread(loud, pair, 0)
    mean = pair[0]
    out[0], out[1], out[2] = pair[1], loud.min() - mean, loud.max() - mean
    at = 3
    for g in range(_GROUPS):
        for f in range(n):
            total = 0.0
            for m in range(4):
                total += frames[REACH + f, _MEL + 4 * g + m]
            band[f] = total / 4
        _spread(band, pair, 0)
        out[at], out[at + 1], out[at + 2] = pair[0] - mean, pair[1], band.min() - pair[0]
        at += 3
    for quarter in range(4):
        moved = 0.0
        for f in range(n):
            for m in range(16 * quarter, 16 * quarter + 16):
                moved += abs(frames[REACH + f, _MEL + m] - frames[REACH + f - 1, _MEL + m])
        out[at] = moved / (16 * n)
        at += 1
    return at


@kernel
def _course(frames: Floats, out: Floats, start: int) -> int:
    """Crossings, flatness, centroid, onsets, voicing and beat over the block; where the next numbers go."""
    n, at = BLOCK, start
    x = np.empty(n)
    for f in range(n):
        x[f] = frames[REACH + f, _ZCR]
    _spread(x, out, at)
    for f in range(n):
        x[f] = np.log(frames[REACH + f, _FLATNESS] + 1e-7)
    _spread(x, out, at + 2)
    for f in range(n):
        x[f] = np.log(frames[REACH + f, _CENTROID] + 50.0)
    _spread(x, out, at + 4)
    for f in range(n):
        x[f] = frames[REACH + f, _ONSET]
    _spread(x, out, at + 6)
    out[at + 8] = x.max()
    for f in range(n):
        x[f] = frames[REACH + f, _VOICING]
    _spread(x, out, at + 9)
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
        _spread(x, out, at)
        at += 2
    return at


@kernel
def _harmony(frames: Floats, out: Floats, start: int) -> int:
    """How long pitch classes last, how peaked and how restless they are; where the next numbers go."""
    n, at = BLOCK, start
    chroma = frames[:, _CHROMA : _CHROMA + 12]
    for lag in (1, 3, 9, 18):
        out[at] = _lasting(chroma, lag)
        at += 1
    peaks, unrest = 0.0, 0.0
    for c in range(12):
        total, squares = 0.0, 0.0
        for f in range(n):
            value = chroma[REACH + f, c]
            total += value
            squares += value * value
        peaks += total / n / 12
        unrest += np.sqrt(max(0.0, squares / n - total * total / n / n)) / 12
    out[at], out[at + 1] = peaks, unrest
    return at + 2


@kernel
def _partials(frames: Floats, ridges: Floats, out: Floats, start: int) -> int:
    """Ridges across the mel bands: how strong, how lasting; where the next numbers go."""
    n, at = BLOCK, start
    for f in range(SPAN):
        for m in range(_BANDS - 2):
            a, b, c = frames[f, _MEL + m], frames[f, _MEL + m + 1], frames[f, _MEL + m + 2]
            ridges[f, m] = b - 0.5 * (a + c)
    for half in range(2):
        part = ridges[:, 31 * half : 31 * half + 31]
        for lag in (2, 6, 15):
            out[at] = _lasting(part, lag)
            at += 1
        total = 0.0
        for f in range(n):
            for m in range(31):
                total += abs(part[REACH + f, m])
        out[at] = total / (31 * n)
        at += 1
    return at


@kernel
def _beneath(frames: Floats, ridges: Floats, out: Floats, start: int) -> int:
    """What is left where the span is quietest: its shape, its ridges and whether they last; where the next go."""
    at = start
    loud = np.empty(SPAN)
    floor = np.full(_BANDS, 1e9)
    mean = 0.0
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
    bare, usual = np.empty(_BANDS - 2), np.zeros(_BANDS - 2)
    for m in range(_BANDS - 2):
        bare[m] = floor[m + 1] - 0.5 * (floor[m] + floor[m + 2])
        for f in range(SPAN):
            usual[m] += ridges[f, m] / SPAN
    for third in range(3):
        total = 0.0
        for m in range(20 * third, 20 * third + 20):
            total += abs(bare[m])
        out[at] = total / 20
        at += 1
    out[at], out[at + 1] = _alike(bare[:31], usual[:31]), _alike(bare[31:], usual[31:])
    at += 2
    quiet = np.sort(np.argsort(loud, kind="mergesort")[:_QUIET])
    level, flat, ridge, lasting, pure, voicing = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(_QUIET):
        f = quiet[i]
        level += loud[f] - mean
        flat += np.log(frames[f, _FLATNESS] + 1e-7)
        voicing += frames[f, _VOICING]
        for m in range(_BANDS - 2):
            ridge += abs(ridges[f, m]) / (_BANDS - 2)
        for c in range(12):
            pure += frames[f, _CHROMA + c] / 12
        lasting += _alike(ridges[f], ridges[quiet[i - 1]])
    for x in (level, flat, ridge, lasting, pure, voicing):
        out[at] = x / _QUIET
        at += 1
    return at


@kernel
def describe(frames: Floats, out: Floats) -> None:
    """What a block is like. frames: SPAN rows of features, oldest first, the block last; out: STATS numbers."""
    ridges = np.empty((SPAN, _BANDS - 2))
    at = _spectrum(frames, out)
    at = _course(frames, out, at)
    at = _harmony(frames, out, at)
    at = _partials(frames, ridges, out, at)
    _beneath(frames, ridges, out, at)
