"""Kind of sound: speech, music, silence, each for itself; noise is none of them.

Every half second (a block of 21 frames) becomes some ninety numbers: shape and unrest of sixteen bands, what stays
between the syllables, how long partials and pitch classes persist. A small network looks at the last eight blocks
and says how probable speech and music are one second ago; what came after helps as much as what came before. It was
trained on what `models/sound.md` lists. Silence needs no training: it is a level.

A kind turns when the evidence against what it is, added up, passes a bound (Page's cumulative sum test, 1954): clear
evidence decides in a second, doubtful evidence takes longer, and a wavering one never does. The turn is dated back to
where the sum began to grow.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.kernel import kernel
from streamseg.engine.models.sound import NETWORK
from streamseg.events import Event, SoundChanged, SoundConfidence
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["speech", "music", "silence"]

BLOCK = 21  # frames
REACH = 18  # frames before a block that its persistence is measured against
CONTEXT = 8  # blocks the network looks at
LAG = 2  # blocks: which of them, from the last one back, it judges
GROUPS = 16  # bands of four mel bands
STATS = 92

# How much evidence turns a kind on, and off again: sums of log-odds, at most _CLEAR a block.
_BOUNDS: dict[Kind, tuple[float, float]] = {"speech": (3.0, 3.0), "music": (3.0, 3.0), "silence": (12.0, 2.0)}
_CLEAR = 3.0
_REMEMBERED = 64  # changes, so that a section that ended a while ago can be reported
_CLIP = 4.0  # standard deviations

_RMS = COLUMNS["rms_db"].start
_MEL = COLUMNS["log_mel"].start
_CHROMA = COLUMNS["chroma"].start
_CONTRAST = COLUMNS["contrast"].start
_ZCR = COLUMNS["zero_crossing_rate"].start
_FLATNESS = COLUMNS["flatness"].start
_CENTROID = COLUMNS["centroid_hz"].start
_ONSET = COLUMNS["onset"].start


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
def describe(frames: Floats, out: Floats) -> None:
    """What a block is like. frames: REACH + BLOCK rows of features, oldest first; out: STATS numbers."""
    n = BLOCK
    at = 0
    loud = np.empty(n)
    for f in range(n):
        total = 0.0
        for m in range(64):
            total += frames[REACH + f, _MEL + m]
        loud[f] = total / 64
    pair = np.empty(2)
    _spread(loud, pair, 0)
    mean = pair[0]
    out[0], out[1], out[2] = pair[1], loud.min() - mean, loud.max() - mean
    at = 3
    band = np.empty(n)
    for g in range(GROUPS):
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
    at += 9
    chroma = frames[:, _CHROMA : _CHROMA + 12]
    for lag in (1, 3, 9, 18):
        total = 0.0
        for f in range(n):
            total += _alike(chroma[REACH + f], chroma[REACH + f - lag])
        out[at] = total / n
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
    at += 2
    for b in range(7):
        for f in range(n):
            x[f] = frames[REACH + f, _CONTRAST + b]
        _spread(x, out, at)
        at += 2
    # Ridges across the mel bands: partials. They stand in music and glide in speech.
    ridges = np.empty((REACH + n, 62))
    for f in range(REACH + n):
        for m in range(62):
            a, b, c = frames[f, _MEL + m], frames[f, _MEL + m + 1], frames[f, _MEL + m + 2]
            ridges[f, m] = b - 0.5 * (a + c)
    for half in range(2):
        part = ridges[:, 31 * half : 31 * half + 31]
        for lag in (2, 6, 15):
            total = 0.0
            for f in range(n):
                total += _alike(part[REACH + f], part[REACH + f - lag])
            out[at] = total / n
            at += 1
        total = 0.0
        for f in range(n):
            for m in range(31):
                total += abs(part[REACH + f, m])
        out[at] = total / (31 * n)
        at += 1


@dataclass(slots=True)
class _Turning:
    """Whether one kind of sound is on, and the evidence that it is no longer so. Blocks are counted per stretch."""

    on: bool = False
    against: float = 0.0
    began: int = 0

    def follow(self, log_odds: float, block: int, bounds: tuple[float, float]) -> bool:
        """Weigh a block; whether the kind turned."""
        log_odds = max(-_CLEAR, min(_CLEAR, log_odds))
        if self.against == 0.0:
            self.began = block
        self.against = max(0.0, self.against + (-log_odds if self.on else log_odds))
        if self.against < bounds[self.on]:
            return False
        self.on, self.against = not self.on, 0.0
        return True


@dataclass(frozen=True, slots=True)
class _Since:
    """From t on these kinds are on; until then each had been on for so many seconds."""

    t: float
    on: tuple[bool, bool, bool]
    seconds: tuple[float, float, float]

    def until(self, t: float) -> tuple[float, float, float]:
        """Seconds of each kind up to t."""
        a, b, c = (s + (t - self.t) * on for s, on in zip(self.seconds, self.on, strict=True))
        return a, b, c


class Sound:
    """Feature frames in; what kind of sound it is out."""

    def __init__(self, settings: Settings) -> None:
        self._silence_db = settings.silence_db
        self._turning: dict[Kind, _Turning] = {"speech": _Turning(), "music": _Turning(), "silence": _Turning()}
        self._changes: deque[_Since] = deque([_Since(0.0, (False,) * 3, (0.0,) * 3)], maxlen=_REMEMBERED)
        self._waiting: list[Event] = []
        self._asked: tuple[float, tuple[float, float, float]] = (0.0, (0.0, 0.0, 0.0))
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on."""
        self._start = start
        self._past = np.zeros((0, 0))
        self._blocks = 0
        self._context = np.zeros((CONTEXT, len(NETWORK["b1"])))
        self._silent: deque[float] = deque([0.0] * (LAG + 1), maxlen=LAG + 1)
        for turning in self._turning.values():
            turning.against = 0.0

    def push(self, frames: Floats) -> None:
        """Take feature frames, shape (n, columns)."""
        if len(frames) == 0:
            return
        if len(self._past) == 0:
            self._past = np.repeat(frames[:1], REACH, axis=0)
        joined = np.concatenate([self._past, frames])
        at = 0
        while at + REACH + BLOCK <= len(joined):
            self._weigh(joined[at : at + REACH + BLOCK])
            at += BLOCK
        self._past = joined[at:].copy()

    def changes(self) -> list[Event]:
        """What was decided since asked last."""
        said, self._waiting = self._waiting, []
        return said

    def fractions(self, start: float, end: float) -> dict[str, float]:
        """Shares of speech, music and silence between two stream times, for the report of a section.

        Asked of one section after the other: what lies long ago is known from having been asked for then.
        """
        first = self._asked[1] if self._asked[0] == start else self._seconds(start)
        last = self._seconds(end)
        self._asked = (end, last)
        names = ("speech_fraction", "music_fraction", "silence_fraction")
        span = max(end - start, 1e-6)
        return {
            name: round(min(1.0, max(0.0, (b - a) / span)), 3) for name, a, b in zip(names, first, last, strict=True)
        }

    def _seconds(self, t: float) -> tuple[float, float, float]:
        """Seconds of each kind from the start of the stream to t, as far as is known by now."""
        since = next((each for each in reversed(self._changes) if each.t <= t), self._changes[0])
        return since.until(t)

    def _weigh(self, frames: Floats) -> None:
        """A block is complete."""
        stats = np.empty(STATS)
        describe(frames, stats)
        z = np.clip((stats - NETWORK["mean"]) / NETWORK["deviation"], -_CLIP, _CLIP)
        seen = np.maximum(z @ NETWORK["w1"] + NETWORK["b1"], 0.0)
        # Before the first block it was as in the first.
        self._context = np.concatenate([self._context[1:], seen[None]]) if self._blocks else np.tile(seen, (CONTEXT, 1))
        self._silent.append(float(np.mean(frames[REACH:, _RMS] < self._silence_db)))
        self._blocks += 1
        if self._blocks <= LAG:
            return
        hidden = np.maximum(self._context.reshape(-1) @ NETWORK["w2"] + NETWORK["b2"], 0.0)
        speech, music = hidden @ NETWORK["w3"] + NETWORK["b3"]
        silence = 12.0 * (self._silent[0] - 0.5)
        self._decide({"speech": float(speech), "music": float(music), "silence": silence})

    def _decide(self, log_odds: dict[Kind, float]) -> None:
        block = self._blocks - 1 - LAG
        turned = [
            kind for kind, turning in self._turning.items() if turning.follow(log_odds[kind], block, _BOUNDS[kind])
        ]
        confidence = SoundConfidence(
            **{kind: round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, x)))), 3) for kind, x in log_odds.items()}
        )
        decided_t = self._start + ((self._blocks * BLOCK - 1) * HOP + FRAME) / ENGINE_RATE
        on = dict(zip(("speech", "music", "silence"), self._changes[-1].on, strict=True))
        for kind in sorted(turned, key=lambda kind: self._turning[kind].began):
            last = self._changes[-1]
            began = self._start + (self._turning[kind].began * BLOCK * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
            t = max(last.t, began)
            on[kind] = self._turning[kind].on
            self._changes.append(_Since(t, (on["speech"], on["music"], on["silence"]), last.until(t)))
            fact = SoundChanged(t=round(t, 6), decided_t=round(decided_t, 6), confidence=confidence, **on)
            self._waiting.append(Event("sound", fact))
