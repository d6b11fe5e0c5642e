"""Decides whether the sound is speech, music or silence, each independently; noise is none of them.

Every half second, a window of 21 frames is described by some hundred numbers (`window_features.py`). A small network
(`network.py`) processes the last windows and estimates how probable speech and music were one second ago, so it also
uses what came after. Its training data are listed in `models/sound_class.md`. Silence needs no training: it is a low
level that lasts (`silence_detector.py`).

A class changes when the sum of the log-odds against its present state reaches a bound (cumulative sum test, Page
1954): clear evidence decides within a second, weak evidence takes longer, and evidence that wavers never decides. The
change is dated back to where the sum began to grow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS, COLUMNS_TOTAL
from streamseg.engine.sound_class.durations import ClassDurations, SoundClass
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
    compute_window_features,
)
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings
from streamseg.wire.events import SoundChanged, SoundConfidence

Floats: TypeAlias = NDArray[np.float64]
LearnedClass: TypeAlias = Literal["speech", "music"]

_CUSUM_BOUND: Final = 3.0  # sum of log-odds that changes a class
_MAX_STEP_LOG_ODDS: Final = 3.0  # of one window
_MEASURED_LOG_ODDS: Final = 5.0  # stated for what is measured, not estimated by the network

_RMS: Final = COLUMNS["rms_db"].start


@dataclass(slots=True)
class _ChangeDetector:
    """Whether one class is on, and the sum of the log-odds that it is no longer so. Windows count per stretch."""

    is_on: bool = False
    log_odds_against: float = 0.0
    first_window: int = 0  # at which the sum began to grow

    def update(self, log_odds: float, window: int) -> bool:
        """Add the log-odds of a window; True when the class changed."""
        log_odds = max(-_MAX_STEP_LOG_ODDS, min(_MAX_STEP_LOG_ODDS, log_odds))
        if self.log_odds_against == 0.0:
            self.first_window = window
        self.log_odds_against = max(0.0, self.log_odds_against + (-log_odds if self.is_on else log_odds))
        if self.log_odds_against < _CUSUM_BOUND:
            return False
        self.is_on, self.log_odds_against = not self.is_on, 0.0
        return True


class SoundClassifier:
    """Detects, from feature frames, when speech, music and silence begin and end."""

    def __init__(self, settings: Settings, weights: SpeechMusicWeights = SPEECH_MUSIC_WEIGHTS) -> None:
        """Start at stream time 0, with every class off.

        settings: `silence_db` and `dead_air_s` are used. weights: of the network; those shipped by default.
        """
        self.durations = ClassDurations()
        self._weights = weights
        self._silence = SilenceDetector(settings)
        self._detectors: dict[LearnedClass, _ChangeDetector] = {"speech": _ChangeDetector(), "music": _ChangeDetector()}
        self._log_odds: dict[LearnedClass, float] = {"speech": 0.0, "music": 0.0}
        self._pending_changes: list[SoundChanged] = []
        self._span = np.zeros((TOTAL_FRAMES, COLUMNS_TOTAL))
        self.continue_after_gap(0.0)

    def continue_after_gap(self, start: float) -> None:
        """Continue after a gap, with frames from stream time `start` (seconds) on; the present sound classes stay."""
        self._start = start
        self._frames = 0
        self._network = SpeechMusicNetwork(self._weights)
        self._silence.continue_after_gap()
        for detector in self._detectors.values():
            detector.log_odds_against = 0.0

    def push(self, frames: Floats) -> list[SoundChanged]:
        """Classify the next feature frames, shape (n, COLUMNS_TOTAL); return the changes of sound class, by time."""
        if len(frames) and not self._frames:
            self._span[:CONTEXT_FRAMES] = frames[0]  # what is before the first frame counts as equal to it
        at = 0
        while at < len(frames):
            n_filled = self._frames % WINDOW_FRAMES
            part = frames[at : at + WINDOW_FRAMES - n_filled]
            self._span[CONTEXT_FRAMES + n_filled : CONTEXT_FRAMES + n_filled + len(part)] = part
            self._frames += len(part)
            at += len(part)
            for change in self._silence.push(part[:, _RMS].copy()):
                self._apply_silence(change)
            if n_filled + len(part) == WINDOW_FRAMES:
                self._classify_window()
                self._span[:CONTEXT_FRAMES] = self._span[WINDOW_FRAMES:]
        changes, self._pending_changes = self._pending_changes, []
        return changes

    def _classify_window(self) -> None:
        """Describe the window that is now complete, and update the classes of the one DECISION_LAG before it."""
        statistics = np.empty(N_STATISTICS)
        compute_window_features(self._span, statistics)
        self._log_odds["speech"], self._log_odds["music"] = self._network.push(statistics)
        window = self._frames // WINDOW_FRAMES - 1 - DECISION_LAG
        if window < 0 or self._silence.is_silent:
            return
        times = {
            each: self._change_time(detector)
            for each, detector in self._detectors.items()
            if detector.update(self._log_odds[each], window)
        }
        for time in sorted(set(times.values())):  # classes that changed at the same time share one event
            classes: dict[SoundClass, bool] = {
                each: self._detectors[each].is_on for each in times if times[each] == time
            }
            self._add_change(time, self._frames - 1, classes)

    def _change_time(self, detector: _ChangeDetector) -> float:
        """When a class that changed did so, in seconds of the stretch; one that ended did so before any silence."""
        time = (detector.first_window * WINDOW_FRAMES * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
        low_level_since = self._silence.low_level_since
        return time if detector.is_on or low_level_since is None else min(time, low_level_since)

    def _apply_silence(self, change: SilenceChange) -> None:
        """Start or end silence. In silence there is neither speech nor music."""
        for detector in self._detectors.values():
            detector.log_odds_against = 0.0
            detector.is_on = detector.is_on and not change.is_silent
        others: dict[SoundClass, bool] = {"speech": False, "music": False} if change.is_silent else {}
        self._add_change(change.t, change.frame, {"silence": change.is_silent, **others})

    def _add_change(self, time: float, frame: int, classes: dict[SoundClass, bool]) -> None:
        """Switch classes on or off from `time` on, in seconds of the stretch, as decided with this frame."""
        active = self.durations.active_classes | classes
        t = max(self.durations.changed_at, self._start + time)
        decided_t = self._start + (frame * HOP + FRAME) / ENGINE_RATE
        self.durations.add_change(t, active)
        certainties = (
            {"silence": _MEASURED_LOG_ODDS, "speech": -_MEASURED_LOG_ODDS, "music": -_MEASURED_LOG_ODDS}
            if active["silence"]
            else {"silence": -_MEASURED_LOG_ODDS}
        )
        log_odds = self._log_odds | certainties
        confidence = SoundConfidence(**{name: _probability_of(value) for name, value in log_odds.items()})
        self._pending_changes.append(
            SoundChanged(t=round(t, 6), decided_t=round(decided_t, 6), confidence=confidence, **active)
        )


def _probability_of(log_odds: float) -> float:
    return round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds)))), 3)
