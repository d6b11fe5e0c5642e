"""Sections: what lies between two boundaries, from the first vector to the report.

Keeps the book: texture sums of the open section, a bounded past of vectors so that a boundary can be drawn some
seconds back, and the ids. Says `boundary.*` and `section.*`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.tracker import BoundaryDecision
from streamseg.engine.features.texture import HARMONY, LEVEL, RHYTHM, STEP_S, TEXTURE_DIMS, TIMBRE
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.labeller import LabelCorrection, LabelEstimate, SectionLabeller
from streamseg.engine.labels.roles import RoleClassifier
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.recent_vectors import RecentVectors
from streamseg.settings import Settings
from streamseg.wire.events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    BoundaryRetracted,
    Event,
    FeatureDistances,
    NextSection,
    PreviousSection,
    Report,
    SectionClosed,
    SectionRelabelled,
    SectionUpdated,
)

_COMPARED_SPAN_S = 8.0  # what is compared on either side of a boundary
_NOVELTY_THRESHOLD = 0.7  # of what changes, most lies above it; of what does not, one moment in ten
# Vectors after which a section is looked at (again): ever rarer, for as long as it lasts.
_ESTIMATE_AT_COUNTS = frozenset((*range(12, 33, 3), *(round(45 * 1.5**n) for n in range(40))))
_MIN_VECTORS = 8  # vectors are looked at, if there are so many


@dataclass(slots=True)
class _CurrentSection:
    """The section that is playing."""

    number: int
    start: float
    descriptor: SectionDescriptor = field(
        default_factory=SectionDescriptor
    )  # of what lies too far back to be cut off by a boundary
    n_recent: int = 0  # vectors since, still among the recent ones
    edge_left: int = 0  # vectors at the beginning that may still belong to what was before, and are left out
    n_vectors: int = 0
    estimate: LabelEstimate | None = None

    @property
    def id(self) -> str:
        return f"s-{self.number}"


class SectionTracker:
    """Turns changes into boundaries, and what lies between into sections."""

    def __init__(self, settings: Settings, lookback_s: float, model: LabelModel, named_sounds: NamedSounds) -> None:
        """lookback_s: how far back a boundary may be drawn."""
        self._labels = SectionLabeller(settings, model, named_sounds)
        self._roles = RoleClassifier() if settings.profile == "music" else None
        self._edge_vectors = int(model.edge)
        self._undecided_steps = round(lookback_s / STEP_S) + 2  # vectors before which a boundary may yet be drawn
        self._recent = RecentVectors(self._undecided_steps + round(_COMPARED_SPAN_S / STEP_S))
        self._step = 0
        self._sections_started = 1
        self._current = _CurrentSection(number=1, start=0.0)

    @property
    def start(self) -> float:
        """Where the open section began, stream seconds."""
        return self._current.start

    @property
    def label(self) -> str | None:
        """What the open section is called so far."""
        return self._current.estimate.label if self._current.estimate else None

    def descriptor_of_label(self, label: str) -> bytes | None:
        """What a label sounds like, for the memory of later runs; None when nothing is remembered of it."""
        descriptor = self._labels.descriptor_of_label(label)
        return descriptor.to_bytes() if descriptor else None

    def name_of(self, label: str) -> str | None:
        """The name a label has from an earlier run."""
        return self._labels.name_of(label)

    @property
    def label_probabilities(self) -> dict[str, float]:
        """How probable each label is for the open section."""
        return dict(self._current.estimate.probabilities) if self._current.estimate else {}

    def push(self, vector: NDArray[np.float64]) -> list[Event]:
        """Take the texture vector of the next step; says what became clearer of the open section."""
        identity = self._labels.push(vector)
        if not np.isfinite(vector).all():  # one NaN in a sum would stay; this is sound like any other
            vector = np.zeros_like(vector)
        self._recent.push(vector, identity)
        self._step += 1
        section = self._current
        section.n_recent += 1
        section.n_vectors += 1
        if section.n_recent > self._undecided_steps:
            if section.edge_left:
                section.edge_left -= 1
            else:
                self._add_vectors(section.descriptor, -section.n_recent, 1 - section.n_recent)
            section.n_recent -= 1
        return self._update_estimate() if section.n_vectors in _ESTIMATE_AT_COUNTS else []

    def novelty(self) -> tuple[float, float]:
        """How far the last 4 s lie from the 8 s before, in deviations, and from where on that is much; for showing."""
        recent = self._recent.vectors[-24:, :TEXTURE_DIMS]
        if len(recent) < 24:
            return 0.0, _NOVELTY_THRESHOLD
        moved = recent[16:].mean(axis=0) - recent[:16].mean(axis=0)
        return float(np.sqrt(np.mean(moved**2))), _NOVELTY_THRESHOLD

    def apply_decision(
        self, decision: BoundaryDecision, t: float, decided_t: float, uncertainty_s: float, *, at_end: bool
    ) -> list[Event]:
        """A change at stream time t, decided at decided_t: the events that follow from it."""
        identity = f"b-{decision.number}"
        if decision.state == "provisional":
            fact = BoundaryProvisional(
                boundary_id=identity,
                t=t,
                decided_t=decided_t,
                stability=round(decision.probability, 3),
                score=round(decision.score, 3),
            )
            return [Event(identity, fact)]
        if decision.state == "retracted":
            return [Event(identity, BoundaryRetracted(boundary_id=identity, decided_t=decided_t, at_end=at_end))]
        return self._confirm_boundary(identity, decision, t, decided_t, uncertainty_s, at_end=at_end)

    def close_section(self, end: float, ended_by: Literal["gap", "end"], *, at_end: bool) -> list[Event]:
        """Close the open section without a boundary; the next one begins with the next vector."""
        events = self._close_section(self._current, end, ended_by, at_end=at_end) if end > self._current.start else []
        self._recent.clear()
        return events

    def start_section(self, start: float) -> None:
        """Open a section at stream time start, after a `close`."""
        self._sections_started += 1
        self._step = 0
        self._current = _CurrentSection(number=self._sections_started, start=start)
        if self._roles is not None:
            self._roles.start_song()

    def _confirm_boundary(
        self, identity: str, change: BoundaryDecision, t: float, decided_t: float, uncertainty_s: float, *, at_end: bool
    ) -> list[Event]:
        back = self._step - change.step
        ending, self._sections_started = self._current, self._sections_started + 1
        starting = _CurrentSection(
            self._sections_started, t, n_recent=back, edge_left=self._edge_vectors, n_vectors=back
        )
        ending.descriptor = self._full_descriptor(ending, leave_out=back)
        ending.n_recent = 0
        evidence = self._feature_distances(change.step)
        closing = self._close_section(ending, t, "boundary", at_end=at_end)
        guess = self._labels.estimate_label(self._full_descriptor(starting))
        starting.estimate = guess
        self._current = starting
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
            prev=PreviousSection(section_id=ending.id, label=closed.label),
            next=NextSection(
                section_id=starting.id,
                label=guess.label,
                seen_before=guess.seen_before,
                last_seen=guess.last_seen,
            ),
            at_end=at_end,
        )
        return [Event(identity, confirmed), *closing]

    def _close_section(
        self, section: _CurrentSection, end: float, ended_by: Literal["boundary", "gap", "end"], *, at_end: bool
    ) -> list[Event]:
        duration_s = end - section.start
        guess, relabelled = section.estimate, list[LabelCorrection]()
        descriptor = self._full_descriptor(section)
        if descriptor.count > 0:
            guess, relabelled = self._labels.learn_section(descriptor, section.id, end)
        roles = dict[str, float]()
        if self._roles is not None:
            for one in relabelled:
                self._roles.merge_labels(one.previous, one.label)
            if guess and guess.label:
                roles = self._roles.classify_section(descriptor, guess.label, section.start, end)
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
            Event(one.section_id, SectionRelabelled(section_id=one.section_id, label=one.label, previous=one.previous))
            for one in relabelled
        ]
        return [Event(section.id, closed), *looked]

    def _full_descriptor(self, section: _CurrentSection, leave_out: int = 0) -> SectionDescriptor:
        """The portrait of all of a section, but for the last vectors."""
        descriptor = section.descriptor.copy()
        last = len(self._recent) - leave_out
        first = len(self._recent) - section.n_recent
        first += max(0, min(section.edge_left, last - first - _MIN_VECTORS))
        self._add_vectors(descriptor, first, last)
        return descriptor

    def _add_vectors(self, descriptor: SectionDescriptor, first: int, last: int) -> None:
        """Put some of the recent vectors into a portrait."""
        descriptor.push(self._recent.vectors[first:last], self._recent.clusters[first:last])

    def _update_estimate(self) -> list[Event]:
        section = self._current
        guess = self._labels.estimate_label(self._full_descriptor(section))
        said, section.estimate = section.estimate, guess
        if said is not None and (said.label, said.name, said.seen_before) == (
            guess.label,
            guess.name,
            guess.seen_before,
        ):
            return []
        return [Event(section.id, self.section_update())]

    def section_update(self) -> SectionUpdated:
        """What is known of the open section."""
        guess = self._current.estimate
        return SectionUpdated(
            section_id=self._current.id,
            label=guess.label if guess else None,
            name=guess.name if guess else None,
            label_probabilities=guess.probabilities if guess else {},
            seen_before=guess.seen_before if guess else False,
            last_seen=guess.last_seen if guess else None,
        )

    def _feature_distances(self, step: int) -> FeatureDistances:
        """How far timbre, harmony and rhythm moved across `step`: 0 none, 1 as far as sounds do."""
        span = round(_COMPARED_SPAN_S / STEP_S)
        recent = self._recent.vectors
        middle = len(recent) - (self._step - step)
        before, after = recent[max(0, middle - span) : middle], recent[middle : middle + span]
        if len(before) == 0 or len(after) == 0:
            return FeatureDistances(timbre=0.0, harmony=0.0, rhythm=0.0, level=0.0)
        moved = after.mean(axis=0) - before.mean(axis=0)

        def part(dims: NDArray[np.int_]) -> float:
            return round(float(1.0 - np.exp(-np.mean(moved[dims] ** 2))), 3)

        return FeatureDistances(timbre=part(TIMBRE), harmony=part(HARMONY), rhythm=part(RHYTHM), level=part(LEVEL))
