"""Taught cue sounds become boundaries: exactly where they start, named after them.

A cue that was heard is a change that needs no judge. Its boundary says `snapped_to: "cue:NAME"`, and the section that
begins there bears the name. Where a boundary was confirmed before the cue was known, nothing is taken back: the
section gets the name, the boundary keeps its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamseg.engine.fingerprints.fingerprint import Fingerprint, fingerprint_from_bytes
from streamseg.engine.fingerprints.matcher import FingerprintMatcher
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.settings import ENGINE_RATE, HOP
from streamseg.wire.events import BoundaryConfirmed, Event, SectionClosed, SectionUpdated

_EVEN_SCORE = 6.0  # standard deviations beyond chance at which a cue is as likely as not
_START_TOLERANCE_S = 2.5  # a section that began so near a cue began with it
_MAX_CONFIRMATION_DELAY_S = 4.0
_MAX_NAMES = 64  # named sections whose end is still to come or just came


@dataclass(frozen=True, slots=True)
class DetectedJingle:
    """A cue that was heard out. t: stream seconds of its start."""

    name: str
    t: float
    probability: float


class FingerprintBoundaries:
    """Feature frames in; cues out, and what they make of boundaries and sections."""

    def __init__(self, named_sounds: NamedSounds) -> None:
        """Raises AskedWrongly for a cue of another version."""
        fingerprints: tuple[Fingerprint, ...] = tuple(
            fingerprint_from_bytes(entry.name, entry.content) for entry in named_sounds.of_kind("cue")
        )
        self._matcher = FingerprintMatcher(fingerprints)
        self._detections: list[DetectedJingle] = []
        self._names: dict[str, str] = {}  # of sections, by id
        # So long no boundary is confirmed, for what is confirmed cannot be moved to a cue that is heard out later.
        self.min_confirmation_delay_s = min(_MAX_CONFIRMATION_DELAY_S, self._matcher.detection_delay_s)
        self.start_stretch(0.0)

    def start_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on."""
        self._start = start
        self._matcher.start_stretch()

    def push(self, frames: NDArray[np.float64]) -> None:
        """Take feature frames, shape (n, columns)."""
        for found in self._matcher.push(frames):
            t = self._start + found.start * HOP / ENGINE_RATE
            self._detections.append(
                DetectedJingle(found.name, round(t, 6), 1.0 / (1.0 + math.exp(_EVEN_SCORE - found.score)))
            )

    def take_detections(self) -> list[DetectedJingle]:
        """The cues that were heard since asked last."""
        heard, self._detections = self._detections, []
        return heard

    def mark_boundary(self, events: list[Event], jingle: DetectedJingle | None) -> list[Event]:
        """What follows from a boundary; one that a cue made says so."""
        if jingle is None:
            return events
        return [
            Event(event.subject, msgspec.structs.replace(fact, snapped_to=f"cue:{jingle.name}"))
            if isinstance(fact := event.data, BoundaryConfirmed)
            else event
            for event in events
        ]

    def name_section(self, jingle: DetectedJingle, sections: SectionTracker) -> list[Event]:
        """The open section bears the cue's name, if it began with it."""
        if abs(sections.start - jingle.t) > _START_TOLERANCE_S:
            return []
        open_section = sections.section_update()
        self._names[open_section.section_id] = jingle.name
        while len(self._names) > _MAX_NAMES:
            self._names.pop(next(iter(self._names)))
        return [self.add_section_name(Event(open_section.section_id, open_section))]

    def add_section_name(self, event: Event) -> Event:
        """A section's events with the name a cue gave it."""
        fact = event.data
        if isinstance(fact, SectionClosed | SectionUpdated) and fact.section_id in self._names:
            return Event(event.subject, msgspec.structs.replace(fact, name=self._names[fact.section_id]))
        return event
