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

from streamseg.engine.cues import Cue, Cues, cue_from
from streamseg.engine.sections import Sections
from streamseg.events import BoundaryConfirmed, Event, SectionClosed, SectionUpdated
from streamseg.memory import Memory
from streamseg.settings import ENGINE_RATE, HOP

_EVEN = 6.0  # standard deviations beyond chance at which a cue is as likely as not
_WITH_IT_S = 2.5  # a section that began so near a cue began with it
_PATIENCE_MOST_S = 4.0
_REMEMBERED = 64  # named sections whose end is still to come or just came


@dataclass(frozen=True, slots=True)
class Heard:
    """A cue that was heard out. t: stream seconds of its start."""

    name: str
    t: float
    probability: float


class Snapping:
    """Feature frames in; cues out, and what they make of boundaries and sections."""

    def __init__(self, memory: Memory) -> None:
        """Raises AskedWrongly for a cue of another version."""
        cues: tuple[Cue, ...] = tuple(cue_from(entry.name, entry.content) for entry in memory.of("cue"))
        self._cues = Cues(cues)
        self._heard: list[Heard] = []
        self._names: dict[str, str] = {}  # of sections, by id
        # So long no boundary is confirmed, for what is confirmed cannot be moved to a cue that is heard out later.
        self.patience_s = min(_PATIENCE_MOST_S, self._cues.known_after_s)
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on."""
        self._start = start
        self._cues.begin_stretch()

    def push(self, frames: NDArray[np.float64]) -> None:
        """Take feature frames, shape (n, columns)."""
        for found in self._cues.push(frames):
            t = self._start + found.start * HOP / ENGINE_RATE
            self._heard.append(Heard(found.name, round(t, 6), 1.0 / (1.0 + math.exp(_EVEN - found.score))))

    def heard(self) -> list[Heard]:
        """The cues that were heard since asked last."""
        heard, self._heard = self._heard, []
        return heard

    def snapped(self, events: list[Event], cue: Heard | None) -> list[Event]:
        """What follows from a boundary; one that a cue made says so."""
        if cue is None:
            return events
        return [
            Event(event.subject, msgspec.structs.replace(fact, snapped_to=f"cue:{cue.name}"))
            if isinstance(fact := event.data, BoundaryConfirmed)
            else event
            for event in events
        ]

    def named(self, cue: Heard, sections: Sections) -> list[Event]:
        """The open section bears the cue's name, if it began with it."""
        if abs(sections.start - cue.t) > _WITH_IT_S:
            return []
        open_section = sections.updated()
        self._names[open_section.section_id] = cue.name
        while len(self._names) > _REMEMBERED:
            self._names.pop(next(iter(self._names)))
        return [self.name(Event(open_section.section_id, open_section))]

    def name(self, event: Event) -> Event:
        """A section's events with the name a cue gave it."""
        fact = event.data
        if isinstance(fact, SectionClosed | SectionUpdated) and fact.section_id in self._names:
            return Event(event.subject, msgspec.structs.replace(fact, name=self._names[fact.section_id]))
        return event
