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
from streamseg.engine.sound_class.network import (
    DECISION_LAG,
    SPEECH_MUSIC_WEIGHTS,
    SpeechMusicNetwork,
    SpeechMusicWeights,
)
from streamseg.engine.sound_class.silence_detector import SilenceChange, SilenceDetector
from streamseg.engine.sound_class.window_features import (
    CONTEXT_FRAMES,
    N_STATISTICS,
    TOTAL_FRAMES,
    WINDOW_FRAMES,
    describe_window,
)
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings
from streamseg.wire.events import SoundChanged, SoundConfidence

Floats: TypeAlias = NDArray[np.float64]
LearnedClass: TypeAlias = Literal["speech", "music"]
SoundClass: TypeAlias = Literal["speech", "music", "silence"]
SOUND_CLASSES: Final[tuple[SoundClass, ...]] = ("speech", "music", "silence")

_CUSUM_BOUND: Final = 3.0  # evidence that turns a kind: the sum of log-odds, at most _CLEAR a block
_MAX_STEP_LOG_ODDS: Final = 3.0
_MEASURED_LOG_ODDS: Final = 5.0  # log-odds of what is measured, not learned
_MAX_CHANGES = 64  # changes, so that a section that ended a while ago can be reported

_RMS = COLUMNS["rms_db"].start


@dataclass(slots=True)
class _ChangeDetector:
    """Whether one kind of sound is on, and the evidence that it is no longer so. Blocks are counted per stretch."""

    is_on: bool = False
    log_odds_against: float = 0.0
    started_at: int = 0

    def update(self, log_odds: float, block: int) -> bool:
        """Weigh a block; whether the kind turned."""
        log_odds = max(-_MAX_STEP_LOG_ODDS, min(_MAX_STEP_LOG_ODDS, log_odds))
        if self.log_odds_against == 0.0:
            self.started_at = block
        self.log_odds_against = max(0.0, self.log_odds_against + (-log_odds if self.is_on else log_odds))
        if self.log_odds_against < _CUSUM_BOUND:
            return False
        self.is_on, self.log_odds_against = not self.is_on, 0.0
        return True


@dataclass(frozen=True, slots=True)
class _ClassTotals:
    """From t on these kinds are on; until then each had been on for so many seconds."""

    t: float
    on: tuple[bool, bool, bool]
    seconds: tuple[float, float, float]

    def seconds_until(self, t: float) -> tuple[float, float, float]:
        """Seconds of each kind up to t."""
        a, b, c = (s + (t - self.t) * on for s, on in zip(self.seconds, self.on, strict=True))
        return a, b, c


class SoundClassifier:
    """Feature frames in; what kind of sound it is out."""

    def __init__(self, settings: Settings, network: SpeechMusicWeights = SPEECH_MUSIC_WEIGHTS) -> None:
        self._network = network
        self._silence_db = settings.silence_db
        self._silence = SilenceDetector(settings)
        self._detectors: dict[LearnedClass, _ChangeDetector] = {"speech": _ChangeDetector(), "music": _ChangeDetector()}
        self._log_odds: dict[LearnedClass, float] = {"speech": 0.0, "music": 0.0}
        self._changes: deque[_ClassTotals] = deque([_ClassTotals(0.0, (False,) * 3, (0.0,) * 3)], maxlen=_MAX_CHANGES)
        self._pending_changes: list[SoundChanged] = []
        self._last_query: tuple[float, tuple[float, float, float]] = (0.0, (0.0, 0.0, 0.0))
        self._span = np.zeros((TOTAL_FRAMES, COLUMNS_TOTAL))
        self.start_stretch(0.0)

    def start_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on."""
        self._start = start
        self._frames = 0
        self._network_state = SpeechMusicNetwork(self._network)
        self._silence.start_stretch()
        for turning in self._detectors.values():
            turning.log_odds_against = 0.0

    def push(self, frames: Floats) -> list[SoundChanged]:
        """Take feature frames, shape (n, columns); what was decided by them."""
        if len(frames) and not self._frames:
            self._span[:CONTEXT_FRAMES] = frames[0]  # before the first frame it was as in the first
        at = 0
        while at < len(frames):
            filled = self._frames % WINDOW_FRAMES
            taken = frames[at : at + WINDOW_FRAMES - filled]
            self._span[CONTEXT_FRAMES + filled : CONTEXT_FRAMES + filled + len(taken)] = taken
            self._frames += len(taken)
            at += len(taken)
            for turned in self._silence.push(taken[:, _RMS].copy()):
                self._apply_silence(turned)
            if filled + len(taken) == WINDOW_FRAMES:
                self._classify_window()
                self._span[:CONTEXT_FRAMES] = self._span[WINDOW_FRAMES:]
        said, self._pending_changes = self._pending_changes, []
        return said

    def class_fractions(self, start: float, end: float) -> dict[str, float]:
        """Shares of speech, music and silence between two stream times, for the report of a section.

        Asked of one section after the other: what lies long ago is known from having been asked for then.
        """
        first = self._last_query[1] if self._last_query[0] == start else self._seconds_until(start)
        last = self._seconds_until(end)
        self._last_query = (end, last)
        names = ("speech_fraction", "music_fraction", "silence_fraction")
        span = max(end - start, 1e-6)
        return {
            name: round(min(1.0, max(0.0, (b - a) / span)), 3) for name, a, b in zip(names, first, last, strict=True)
        }

    def _seconds_until(self, t: float) -> tuple[float, float, float]:
        """Seconds of each kind from the start of the stream to t, as far as is known by now."""
        since = next((each for each in reversed(self._changes) if each.t <= t), self._changes[0])
        return since.seconds_until(t)

    def _classify_window(self) -> None:
        """A block is complete."""
        stats = np.empty(N_STATISTICS)
        describe_window(self._span, stats)
        self._log_odds["speech"], self._log_odds["music"] = self._network_state.push(stats)
        block = self._frames // WINDOW_FRAMES - 1 - DECISION_LAG
        if block < 0 or self._silence.is_silent:
            return
        turned = [kind for kind, turning in self._detectors.items() if turning.update(self._log_odds[kind], block)]
        began = {kind: self._change_time(self._detectors[kind]) for kind in turned}
        for at in sorted(set(began.values())):  # what turned together is said together
            self._add_change(
                at, self._frames - 1, {kind: self._detectors[kind].is_on for kind in turned if began[kind] == at}
            )

    def _change_time(self, turning: _ChangeDetector) -> float:
        """Since when it has been so, stretch seconds."""
        began = (turning.started_at * WINDOW_FRAMES * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
        silent = self._silence.silent_since
        return (
            min(began, silent) if not turning.is_on and silent is not None else began
        )  # it ended when it became quiet

    def _apply_silence(self, change: SilenceChange) -> None:
        """Silence began or ended. Nothing speaks or plays in it."""
        for turning in self._detectors.values():
            turning.log_odds_against = 0.0
            turning.is_on = turning.is_on and not change.is_silent
        ended: dict[SoundClass, bool] = {"speech": False, "music": False} if change.is_silent else {}
        self._add_change(change.t, change.frame, {"silence": change.is_silent, **ended})

    def _add_change(self, began: float, frame: int, changed_classes: Mapping[SoundClass, bool]) -> None:
        """From `began` on, stretch seconds, these kinds are as told; known with this frame."""
        last = self._changes[-1]
        on: dict[SoundClass, bool] = dict(zip(SOUND_CLASSES, last.on, strict=True)) | dict(changed_classes)
        t = max(last.t, self._start + began)
        decided_t = self._start + (frame * HOP + FRAME) / ENGINE_RATE
        self._changes.append(_ClassTotals(t, (on["speech"], on["music"], on["silence"]), last.seconds_until(t)))
        odds = (
            {"silence": _MEASURED_LOG_ODDS, "speech": -_MEASURED_LOG_ODDS, "music": -_MEASURED_LOG_ODDS}
            if on["silence"]
            else {"silence": -_MEASURED_LOG_ODDS}
        )
        confidence = SoundConfidence(**{kind: _probability_of(x) for kind, x in (self._log_odds | odds).items()})
        self._pending_changes.append(
            SoundChanged(t=round(t, 6), decided_t=round(decided_t, 6), confidence=confidence, **on)
        )


def _probability_of(log_odds: float) -> float:
    return round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds)))), 3)
