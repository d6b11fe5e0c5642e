"""Detects taught jingles, so that a boundary is confirmed where each starts and its section gets the jingle's name.

A detected jingle needs no boundary classifier. Its boundary has `snapped_to: "cue:NAME"`, and the section that starts
there gets the name. Where a boundary was confirmed before the jingle was detected, that boundary stays as it is, and
only the section gets the name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.fingerprints.fingerprint import fingerprint_from_bytes
from streamseg.engine.fingerprints.matcher import FingerprintMatcher
from streamseg.engine.named_sounds import NamedSounds
from streamseg.settings import ENGINE_RATE, HOP

_EVEN_SCORE = 6.0  # standard deviations beyond chance at which a match is as likely right as wrong
_MAX_CONFIRMATION_DELAY_S = 4.0


@dataclass(frozen=True, slots=True)
class DetectedJingle:
    """A jingle found in the stream. t: its start, stream seconds. probability: that it is there, 0 to 1."""

    name: str
    t: float
    probability: float


class JingleBoundaryDetector:
    """Detects, from feature frames, where the jingles among the named sounds start in the stream."""

    def __init__(self, named_sounds: NamedSounds) -> None:
        """Prepare for the named sounds of kind `cue`. Raises UsageError if another version of streamseg stored one."""
        self._matcher = FingerprintMatcher(
            tuple(fingerprint_from_bytes(entry.name, entry.content) for entry in named_sounds.of_kind("cue"))
        )
        self._detections: list[DetectedJingle] = []
        # No boundary is confirmed sooner, because a confirmed one cannot move to a jingle that is detected later.
        self.min_confirmation_delay_s = min(_MAX_CONFIRMATION_DELAY_S, self._matcher.detection_delay_from_start_s)
        self.start_stretch(0.0)

    def start_stretch(self, start: float) -> None:
        """Continue at stream time `start`, in seconds, after a gap; no jingle is found across the gap."""
        self._start = start
        self._matcher.start_stretch()

    def push(self, frames: NDArray[np.float64]) -> None:
        """Process feature frames, shape (n, COLUMNS_TOTAL); `take_detections` returns the jingles found in them."""
        for match in self._matcher.push(frames):
            t = self._start + match.start_frame * HOP / ENGINE_RATE
            probability = 1.0 / (1.0 + math.exp(_EVEN_SCORE - match.score))
            self._detections.append(DetectedJingle(match.name, round(t, 6), probability))

    def take_detections(self) -> list[DetectedJingle]:
        """Remove and return the jingles detected since the last call."""
        detections, self._detections = self._detections, []
        return detections
