"""Kind of sound: speech, music, silence, each for itself; noise is none of them.

Every half second (a block of 21 frames) becomes some hundred numbers (`describing.py`). A small network
(`network.py`) looks at the last blocks and says how probable speech and music are one second ago; what came after
helps as much as what came before. It was trained on what `models/sound.md` lists. Silence needs no training: it is
quiet that stays (`quiet.py`).

A kind turns when the evidence against what it is, added up, passes a bound (Page's cumulative sum test, 1954): clear
evidence decides in a second, doubtful evidence takes longer, and a wavering one never does. The turn is dated back to
where the sum began to grow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS, COLUMNS_TOTAL
from streamseg.engine.models.sound import NETWORK, Network
from streamseg.engine.sound.describing import BLOCK, REACH, SPAN, STATS, describe
from streamseg.engine.sound.network import LAG, Listener
from streamseg.engine.sound.quiet import Quiet, Turned
from streamseg.events import SoundChanged, SoundConfidence
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings

Floats: TypeAlias = NDArray[np.float64]
Learned: TypeAlias = Literal["speech", "music"]
Kind: TypeAlias = Literal["speech", "music", "silence"]
KINDS: Final[tuple[Kind, ...]] = ("speech", "music", "silence")

_BOUND: Final = 3.0  # evidence that turns a kind: the sum of log-odds, at most _CLEAR a block
_CLEAR: Final = 3.0
_SURE: Final = 5.0  # log-odds of what is measured, not learned
_REMEMBERED = 64  # changes, so that a section that ended a while ago can be reported

_RMS = COLUMNS["rms_db"].start


@dataclass(slots=True)
class _Turning:
    """Whether one kind of sound is on, and the evidence that it is no longer so. Blocks are counted per stretch."""

    on: bool = False
    against: float = 0.0
    began: int = 0

    def follow(self, log_odds: float, block: int) -> bool:
        """Weigh a block; whether the kind turned."""
        log_odds = max(-_CLEAR, min(_CLEAR, log_odds))
        if self.against == 0.0:
            self.began = block
        self.against = max(0.0, self.against + (-log_odds if self.on else log_odds))
        if self.against < _BOUND:
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

    def __init__(self, settings: Settings, network: Network = NETWORK) -> None:
        self._network = network
        self._silence_db = settings.silence_db
        self._quiet = Quiet(settings)
        self._turning: dict[Learned, _Turning] = {"speech": _Turning(), "music": _Turning()}
        self._log_odds: dict[Learned, float] = {"speech": 0.0, "music": 0.0}
        self._changes: deque[_Since] = deque([_Since(0.0, (False,) * 3, (0.0,) * 3)], maxlen=_REMEMBERED)
        self._said: list[SoundChanged] = []
        self._asked: tuple[float, tuple[float, float, float]] = (0.0, (0.0, 0.0, 0.0))
        self._span = np.zeros((SPAN, COLUMNS_TOTAL))
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on."""
        self._start = start
        self._frames = 0
        self._listener = Listener(self._network)
        self._quiet.begin_stretch()
        for turning in self._turning.values():
            turning.against = 0.0

    def push(self, frames: Floats) -> list[SoundChanged]:
        """Take feature frames, shape (n, columns); what was decided by them."""
        if len(frames) and not self._frames:
            self._span[:REACH] = frames[0]  # before the first frame it was as in the first
        at = 0
        while at < len(frames):
            filled = self._frames % BLOCK
            taken = frames[at : at + BLOCK - filled]
            self._span[REACH + filled : REACH + filled + len(taken)] = taken
            self._frames += len(taken)
            at += len(taken)
            for turned in self._quiet.push(taken[:, _RMS].copy()):
                self._hush(turned)
            if filled + len(taken) == BLOCK:
                self._weigh()
                self._span[:REACH] = self._span[BLOCK:]
        said, self._said = self._said, []
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

    def _weigh(self) -> None:
        """A block is complete."""
        stats = np.empty(STATS)
        describe(self._span, stats)
        self._log_odds["speech"], self._log_odds["music"] = self._listener.push(stats)
        block = self._frames // BLOCK - 1 - LAG
        if block < 0 or self._quiet.on:
            return
        turned = [kind for kind, turning in self._turning.items() if turning.follow(self._log_odds[kind], block)]
        began = {kind: self._began(self._turning[kind]) for kind in turned}
        for at in sorted(set(began.values())):  # what turned together is said together
            self._say(at, self._frames - 1, {kind: self._turning[kind].on for kind in turned if began[kind] == at})

    def _began(self, turning: _Turning) -> float:
        """Since when it has been so, stretch seconds."""
        began = (turning.began * BLOCK * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
        quiet = self._quiet.since
        return min(began, quiet) if not turning.on and quiet is not None else began  # it ended when it became quiet

    def _hush(self, turned: Turned) -> None:
        """Silence began or ended. Nothing speaks or plays in it."""
        for turning in self._turning.values():
            turning.against = 0.0
            turning.on = turning.on and not turned.on
        ended: dict[Kind, bool] = {"speech": False, "music": False} if turned.on else {}
        self._say(turned.t, turned.frame, {"silence": turned.on, **ended})

    def _say(self, began: float, frame: int, turned: Mapping[Kind, bool]) -> None:
        """From `began` on, stretch seconds, these kinds are as told; known with this frame."""
        last = self._changes[-1]
        on: dict[Kind, bool] = dict(zip(KINDS, last.on, strict=True)) | dict(turned)
        t = max(last.t, self._start + began)
        decided_t = self._start + (frame * HOP + FRAME) / ENGINE_RATE
        self._changes.append(_Since(t, (on["speech"], on["music"], on["silence"]), last.until(t)))
        odds = {"silence": _SURE, "speech": -_SURE, "music": -_SURE} if on["silence"] else {"silence": -_SURE}
        confidence = SoundConfidence(**{kind: _probability(x) for kind, x in (self._log_odds | odds).items()})
        self._said.append(SoundChanged(t=round(t, 6), decided_t=round(decided_t, 6), confidence=confidence, **on))


def _probability(log_odds: float) -> float:
    return round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds)))), 3)
