"""Sections: what lies between two boundaries, from the first vector to the report.

Keeps the book: texture sums of the open section, a bounded past of vectors so that a boundary can be drawn some
seconds back, and the ids. Says `boundary.*` and `section.*`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.changepoints import Change
from streamseg.engine.labels import Guess, Labels, Relabelled
from streamseg.engine.portrait import Portrait
from streamseg.engine.recent import Recent
from streamseg.engine.roles import Roles
from streamseg.engine.texture import HARMONY, LEVEL, RHYTHM, STEP_S, TEXTURE_DIMS, TIMBRE
from streamseg.events import (
    After,
    Before,
    BoundaryConfirmed,
    BoundaryProvisional,
    BoundaryRetracted,
    Event,
    Evidence,
    Report,
    SectionClosed,
    SectionRelabelled,
    SectionUpdated,
)
from streamseg.memory import Memory
from streamseg.settings import Settings
from streamseg.weights import LabelModel

_EVIDENCE_SPAN_S = 8.0  # what is compared on either side of a boundary
_MUCH_NOVELTY = 0.7  # of what changes, most lies above it; of what does not, one moment in ten
# Vectors after which a section is looked at (again): ever rarer, for as long as it lasts.
_LOOKS = frozenset((*range(12, 33, 3), *(round(45 * 1.5**n) for n in range(40))))
_LEAST = 8  # vectors are looked at, if there are so many


@dataclass(slots=True)
class _Open:
    """The section that is playing."""

    number: int
    start: float
    portrait: Portrait = field(default_factory=Portrait)  # of what lies too far back to be cut off by a boundary
    waiting: int = 0  # vectors since, still among the recent ones
    edge: int = 0  # vectors at the beginning that may still belong to what was before, and are left out
    count: int = 0
    guess: Guess | None = None

    @property
    def id(self) -> str:
        return f"s-{self.number}"


class Sections:
    """Turns changes into boundaries, and what lies between into sections."""

    def __init__(self, settings: Settings, lookback_s: float, model: LabelModel, memory: Memory) -> None:
        """lookback_s: how far back a boundary may be drawn."""
        self._labels = Labels(settings, model, memory)
        self._roles = Roles() if settings.profile == "music" else None
        self._edge = int(model.edge)
        self._undecided = round(lookback_s / STEP_S) + 2  # vectors before which a boundary may yet be drawn
        self._recent = Recent(self._undecided + round(_EVIDENCE_SPAN_S / STEP_S))
        self._step = 0
        self._count = 1
        self._open = _Open(number=1, start=0.0)

    @property
    def start(self) -> float:
        """Where the open section began, stream seconds."""
        return self._open.start

    @property
    def label(self) -> str | None:
        """What the open section is called so far."""
        return self._open.guess.label if self._open.guess else None

    def prototype(self, label: str) -> bytes | None:
        """What a label sounds like, for the memory of later runs; None when nothing is remembered of it."""
        portrait = self._labels.prototype(label)
        return portrait.packed() if portrait else None

    def name_of(self, label: str) -> str | None:
        """The name a label has from an earlier run."""
        return self._labels.name_of(label)

    @property
    def label_probabilities(self) -> dict[str, float]:
        """How probable each label is for the open section."""
        return dict(self._open.guess.probabilities) if self._open.guess else {}

    def push(self, vector: NDArray[np.float64]) -> list[Event]:
        """Take the texture vector of the next step; says what became clearer of the open section."""
        identity = self._labels.push(vector)
        if not np.isfinite(vector).all():  # one NaN in a sum would stay; this is sound like any other
            vector = np.zeros_like(vector)
        self._recent.push(vector, identity)
        self._step += 1
        section = self._open
        section.waiting += 1
        section.count += 1
        if section.waiting > self._undecided:
            if section.edge:
                section.edge -= 1
            else:
                self._into(section.portrait, -section.waiting, 1 - section.waiting)
            section.waiting -= 1
        return self._guess_again() if section.count in _LOOKS else []

    def novelty(self) -> tuple[float, float]:
        """How far the last 4 s lie from the 8 s before, in deviations, and from where on that is much; for showing."""
        recent = self._recent.vectors[-24:, :TEXTURE_DIMS]
        if len(recent) < 24:
            return 0.0, _MUCH_NOVELTY
        moved = recent[16:].mean(axis=0) - recent[:16].mean(axis=0)
        return float(np.sqrt(np.mean(moved**2))), _MUCH_NOVELTY

    def say(self, change: Change, t: float, decided_t: float, uncertainty_s: float, *, at_end: bool) -> list[Event]:
        """A change at stream time t, decided at decided_t: the events that follow from it."""
        identity = f"b-{change.number}"
        if change.state == "provisional":
            fact = BoundaryProvisional(
                boundary_id=identity,
                t=t,
                decided_t=decided_t,
                stability=round(change.probability, 3),
                score=round(change.score, 3),
            )
            return [Event(identity, fact)]
        if change.state == "retracted":
            return [Event(identity, BoundaryRetracted(boundary_id=identity, decided_t=decided_t, at_end=at_end))]
        return self._confirm(identity, change, t, decided_t, uncertainty_s, at_end=at_end)

    def close(self, end: float, ended_by: Literal["gap", "end"], *, at_end: bool) -> list[Event]:
        """Close the open section without a boundary; the next one begins with the next vector."""
        events = self._close(self._open, end, ended_by, at_end=at_end) if end > self._open.start else []
        self._recent.clear()
        return events

    def begin(self, start: float) -> None:
        """Open a section at stream time start, after a `close`."""
        self._count += 1
        self._step = 0
        self._open = _Open(number=self._count, start=start)
        if self._roles is not None:
            self._roles.begin()

    def _confirm(
        self, identity: str, change: Change, t: float, decided_t: float, uncertainty_s: float, *, at_end: bool
    ) -> list[Event]:
        back = self._step - change.step
        ending, self._count = self._open, self._count + 1
        starting = _Open(self._count, t, waiting=back, edge=self._edge, count=back)
        ending.portrait = self._whole(ending, leave_out=back)
        ending.waiting = 0
        evidence = self._evidence(change.step)
        closing = self._close(ending, t, "boundary", at_end=at_end)
        guess = self._labels.guess(self._whole(starting))
        starting.guess = guess
        self._open = starting
        closed = closing[0].data
        assert isinstance(closed, SectionClosed)  # noqa: S101  tells mypy what _close returns first
        confirmed = BoundaryConfirmed(
            boundary_id=identity,
            t=t,
            decided_t=decided_t,
            t_uncertainty=uncertainty_s,
            confidence=round(change.probability, 3),
            evidence=evidence,
            snapped_to=None,
            prev=Before(section_id=ending.id, label=closed.label),
            next=After(
                section_id=starting.id,
                label=guess.label,
                seen_before=guess.seen_before,
                last_seen=guess.last_seen,
            ),
            at_end=at_end,
        )
        return [Event(identity, confirmed), *closing]

    def _close(
        self, section: _Open, end: float, ended_by: Literal["boundary", "gap", "end"], *, at_end: bool
    ) -> list[Event]:
        duration_s = end - section.start
        guess, relabelled = section.guess, list[Relabelled]()
        portrait = self._whole(section)
        if portrait.count > 0:
            guess, relabelled = self._labels.learn(portrait, section.id, end)
        roles = dict[str, float]()
        if self._roles is not None:
            for one in relabelled:
                self._roles.join(one.previous, one.label)
            if guess and guess.label:
                roles = self._roles.push(portrait, guess.label, section.start, end)
        role = max(roles, key=roles.__getitem__, default=None)
        closed = SectionClosed(
            section_id=section.id,
            start=section.start,
            end=end,
            ended_by=ended_by,
            label=guess.label if guess else None,
            name=guess.name if guess else None,
            label_confidence=guess.probabilities.get(guess.label) if guess and guess.label else None,
            role=role,
            role_confidence=round(roles[role], 3) if role else None,
            report=Report(duration_s=round(duration_s, 6)),
            at_end=at_end,
        )
        looked = [
            Event(one.section, SectionRelabelled(section_id=one.section, label=one.label, previous=one.previous))
            for one in relabelled
        ]
        return [Event(section.id, closed), *looked]

    def _whole(self, section: _Open, leave_out: int = 0) -> Portrait:
        """The portrait of all of a section, but for the last vectors."""
        portrait = section.portrait.copy()
        last = len(self._recent) - leave_out
        first = len(self._recent) - section.waiting
        first += max(0, min(section.edge, last - first - _LEAST))
        self._into(portrait, first, last)
        return portrait

    def _into(self, portrait: Portrait, first: int, last: int) -> None:
        """Put some of the recent vectors into a portrait."""
        portrait.push(self._recent.vectors[first:last], self._recent.identities[first:last])

    def _guess_again(self) -> list[Event]:
        section = self._open
        guess = self._labels.guess(self._whole(section))
        said, section.guess = section.guess, guess
        if said is not None and (said.label, said.name, said.seen_before) == (
            guess.label,
            guess.name,
            guess.seen_before,
        ):
            return []
        return [Event(section.id, self.updated())]

    def updated(self) -> SectionUpdated:
        """What is known of the open section."""
        guess = self._open.guess
        return SectionUpdated(
            section_id=self._open.id,
            label=guess.label if guess else None,
            name=guess.name if guess else None,
            label_probabilities=guess.probabilities if guess else {},
            seen_before=guess.seen_before if guess else False,
            last_seen=guess.last_seen if guess else None,
        )

    def _evidence(self, step: int) -> Evidence:
        """How far timbre, harmony and rhythm moved across `step`: 0 none, 1 as far as sounds do."""
        span = round(_EVIDENCE_SPAN_S / STEP_S)
        recent = self._recent.vectors
        middle = len(recent) - (self._step - step)
        before, after = recent[max(0, middle - span) : middle], recent[middle : middle + span]
        if len(before) == 0 or len(after) == 0:
            return Evidence(timbre=0.0, harmony=0.0, rhythm=0.0, level=0.0)
        moved = after.mean(axis=0) - before.mean(axis=0)

        def part(dims: NDArray[np.int_]) -> float:
            return round(float(1.0 - np.exp(-np.mean(moved[dims] ** 2))), 3)

        return Evidence(timbre=part(TIMBRE), harmony=part(HARMONY), rhythm=part(RHYTHM), level=part(LEVEL))
