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
    """A jingle found in the stream: its name, the stream time of its start, and the probability that it is there.

    t: seconds. probability: 0 to 1.
    """

    name: str
    t: float
    probability: float


class JingleStartDetector:
    """Detects the jingles that a user taught, from feature frames: which jingle starts at which stream time."""

    def __init__(self, named_sounds: NamedSounds) -> None:
        """Prepare for the named sounds of kind `cue`. Raises UsageError if another version of streamseg stored one."""
        self._matcher = FingerprintMatcher(
            tuple(fingerprint_from_bytes(entry.name, entry.content) for entry in named_sounds.of_kind("cue"))
        )
        self._detections: list[DetectedJingle] = []
        # No boundary is confirmed sooner, because a confirmed one cannot move to a jingle that is detected later.
        self.min_confirmation_delay_s = min(_MAX_CONFIRMATION_DELAY_S, self._matcher.max_detection_delay_from_start_s)
        self.continue_after_gap(0.0)

    def continue_after_gap(self, start: float) -> None:
        """Continue after a gap, with frames from stream time `start` (seconds) on; no jingle is found across a gap."""
        self._start = start
        self._matcher.continue_after_gap()

    def push(self, frames: NDArray[np.float64]) -> None:
        """Search for jingles in the next feature frames, shape (n, COLUMNS_TOTAL); `take_detections` returns them."""
        for match in self._matcher.push(frames):
            t = self._start + match.start_frame * HOP / ENGINE_RATE
            probability = 1.0 / (1.0 + math.exp(_EVEN_SCORE - match.score))
            self._detections.append(DetectedJingle(match.name, round(t, 6), probability))

    def take_detections(self) -> list[DetectedJingle]:
        """Return the jingles detected since the last call, and forget them."""
        detections, self._detections = self._detections, []
        return detections
