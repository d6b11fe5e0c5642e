"""Opens, labels and closes sections: makes `boundary.*` and `section.*` events from boundary decisions.

The tracker has one current section. Texture vectors update the estimate of its label; a confirmed boundary, a long gap
or the end closes it. A boundary may lie some seconds back, so the vectors of that time stay apart until it is certain
which section they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.tracker import BoundaryDecision
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.labeller import LabelCorrection, LabelEstimate, SectionLabeller
from streamseg.engine.labels.roles import SongRoleClassifier
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.current_section import CurrentSection
from streamseg.engine.sections.distances import (
    COMPARED_STEPS,
    NOVELTY_THRESHOLD,
    measure_feature_distances,
    measure_recent_change,
)
from streamseg.engine.sections.recent_vectors import RecentVectors
from streamseg.settings import ENGINE_RATE, HOP, Settings
from streamseg.wire.events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    BoundaryRetracted,
    Event,
    NextSection,
    Novelty,
    PreviousSection,
    Report,
    SectionClosed,
    SectionRelabelled,
    SectionUpdated,
)

EndedBy: TypeAlias = Literal["boundary", "gap", "end"]
ReportMaker: TypeAlias = Callable[[float, float], Report]

_MIN_DURATION_S = HOP / ENGINE_RATE  # of a section
_NAMED_WITHIN_S = 2.5  # a section that starts so near a jingle starts with it
# The label is estimated when a section has these numbers of vectors; the intervals grow with its length.
_ESTIMATE_AT_COUNTS = frozenset((*range(12, 33, 3), *(round(45 * 1.5**n) for n in range(40))))


def make_duration_report(start: float, end: float) -> Report:
    """Make a section report that contains only the duration, from `start` to `end`, both in seconds."""
    return Report(duration_s=round(end - start, 6))


class SectionTracker:
    """Opens, labels and closes the sections of a stream, one after the other, and returns the events of each."""

    def __init__(
        self,
        settings: Settings,
        lookback_s: float,
        model: LabelModel,
        named_sounds: NamedSounds,
        make_report: ReportMaker = make_duration_report,
    ) -> None:
        """Open the first section at stream time 0.

        lookback_s: how many seconds back a boundary may lie. model: of the similarity of sections. named_sounds: labels
        get the names of the sections in it. make_report: called once for each section when it closes, with its start
        and end in stream seconds.
        """
        self._labels = SectionLabeller(settings, model, named_sounds)
        self._roles = SongRoleClassifier() if settings.profile == "music" else None
        self._make_report = make_report
        self._edge_vectors = int(model.edge)
        self._undecided_steps = round(lookback_s / STEP_S) + 2
        self._recent = RecentVectors(self._undecided_steps + COMPARED_STEPS)
        self._step = 0
        self._sections_started = 1
        self._current = CurrentSection(number=1, start=0.0)
        self.boundaries_confirmed = 0

    @property
    def label_probabilities(self) -> dict[str, float]:
        """{label: probability} for the likeliest labels of the current section; empty before the first estimate."""
        return dict(self._current.estimate.probabilities) if self._current.estimate else {}

    def descriptor_of_label(self, label: str) -> bytes | None:
        """Return the descriptor of a label's latest section, encoded for `NamedSound.content`; None without one."""
        descriptor = self._labels.descriptor_of_label(label)
        return descriptor.to_bytes() if descriptor else None

    def name_of_label(self, label: str) -> str | None:
        """Return the name that a person gave this label in an earlier run; None if the label has no name."""
        return self._labels.name_of_label(label)

    def push(self, vector: NDArray[np.float64]) -> list[Event]:
        """Add the next texture vector to the current section; return `section.updated` if the estimated label changed.

        vector: shape (VECTOR_DIMS,). The event is made at the first estimate, and when a later one changes the label,
        its name, or whether it was seen before; else the list is empty.
        """
        cluster = self._labels.assign_cluster(vector)
        if not np.isfinite(vector).all():  # one NaN would stay in the sums for ever
            vector = np.zeros_like(vector)
        self._recent.push(vector, cluster)
        self._step += 1
        self._current.add_newest_vector(self._recent, self._undecided_steps)
        return self._update_estimate() if self._current.n_vectors in _ESTIMATE_AT_COUNTS else []

    def make_novelty_event(self, t: float) -> Novelty:
        """Return the data of a `novelty` event: how much the sound changed in the last 4 s, and the current label.

        t: the time that the event states, stream seconds.
        """
        return Novelty(
            t=t,
            value=round(measure_recent_change(self._recent.vectors), 4),
            threshold=NOVELTY_THRESHOLD,
            label=self._current.label,
            label_probabilities=self.label_probabilities,
        )

    def apply_decision(
        self,
        decision: BoundaryDecision,
        t: float,
        decided_t: float,
        uncertainty_s: float,
        jingle: str | None = None,
        *,
        at_end: bool = False,
    ) -> list[Event]:
        """Carry out a boundary decision and return its events; if confirmed, close the section and open the next one.

        t: of the boundary, stream seconds. decided_t: of the last sample that the decision depends on, stream seconds.
        uncertainty_s: standard deviation of t. jingle: name of the jingle that confirmed the boundary, None for none.
        at_end: whether the end of the sound forced the decision.
        """
        boundary_id = f"b-{decision.number}"
        t = round(max(t, self._current.start + _MIN_DURATION_S), 6)
        if decision.state == "provisional":
            provisional = BoundaryProvisional(
                boundary_id=boundary_id,
                t=t,
                decided_t=decided_t,
                stability=round(decision.probability, 3),
                score=round(decision.score, 3),
            )
            return [Event(boundary_id, provisional)]
        if decision.state == "retracted":
            retraction = BoundaryRetracted(boundary_id=boundary_id, decided_t=decided_t, at_end=at_end)
            return [Event(boundary_id, retraction)]
        n_after = self._step - decision.step
        distances = measure_feature_distances(self._recent.vectors, len(self._recent) - n_after)
        previous, closing_events = self._close_current(t, "boundary", leave_out=n_after, at_end=at_end)
        current, estimate = self._start_after_boundary(t, n_after)
        self.boundaries_confirmed += 1
        confirmation = BoundaryConfirmed(
            boundary_id=boundary_id,
            t=t,
            decided_t=decided_t,
            t_uncertainty=uncertainty_s,
            confidence=round(decision.probability, 3),
            evidence=distances,
            snapped_to=None if jingle is None else f"cue:{jingle}",
            prev=PreviousSection(section_id=previous.id, label=previous.label),
            next=NextSection(
                section_id=current.id,
                label=estimate.label,
                seen_before=estimate.seen_before,
                last_seen=estimate.last_seen,
            ),
            at_end=at_end,
        )
        return [Event(boundary_id, confirmation), *closing_events]

    def name_section_by_jingle(self, jingle: str, t: float) -> list[Event]:
        """Give the current section the jingle's name if it starts within 2.5 s of stream time t; return the event.

        t: start of the jingle, seconds. The event is `section.updated`; the list is empty if the section is not named.
        """
        if abs(self._current.start - t) > _NAMED_WITHIN_S:
            return []
        self._current.jingle = jingle
        return [self._make_update()]

    def close_section(self, end: float, ended_by: Literal["gap", "end"], *, at_end: bool) -> list[Event]:
        """Close the current section without a boundary, at a gap or the end of the stream, and return its last events.

        end: stream seconds. at_end: whether the stream ends here. Call `start_section` to open the next section.
        """
        events: list[Event] = []
        if end > self._current.start:
            _, events = self._close_current(end, ended_by, at_end=at_end)
        self._recent.clear()
        return events

    def start_section(self, start: float) -> None:
        """Open a new section, and begin a new song, at stream time `start`, in seconds, after a long gap."""
        self._sections_started += 1
        self._step = 0
        self._current = CurrentSection(number=self._sections_started, start=start)
        if self._roles is not None:
            self._roles.start_song()

    def _start_after_boundary(self, start: float, n_vectors: int) -> tuple[CurrentSection, LabelEstimate]:
        """Open a section that the newest `n_vectors` vectors belong to already, and estimate its label."""
        self._sections_started += 1
        self._current = section = CurrentSection(
            self._sections_started, start, n_recent=n_vectors, edge_left=self._edge_vectors, n_vectors=n_vectors
        )
        section.estimate = estimate = self._labels.estimate_label(section.compute_descriptor(self._recent))
        return section, estimate

    def _close_current(
        self, end: float, ended_by: EndedBy, *, leave_out: int = 0, at_end: bool
    ) -> tuple[CurrentSection, list[Event]]:
        """Close the current section: learn its label, and make its last event and those of sections it relabels.

        leave_out: vectors at the end that belong to the next section. Returns the section that closed, and the events.
        """
        section = self._current
        descriptor = section.compute_descriptor(self._recent, leave_out)
        corrections = list[LabelCorrection]()
        if descriptor.n_vectors > 0:
            section.estimate, corrections = self._labels.label_closed_section(descriptor, section.id, end)
        label = section.label
        role, role_confidence = self._classify_role(section, descriptor, corrections, end)
        closing = SectionClosed(
            section_id=section.id,
            start=section.start,
            end=end,
            ended_by=ended_by,
            label=label,
            name=section.name,
            label_confidence=section.estimate.probabilities.get(label) if section.estimate and label else None,
            role=role,
            role_confidence=role_confidence,
            report=self._make_report(section.start, end),
            at_end=at_end,
        )
        events = [Event(section.id, closing)]
        for each in corrections:
            relabelling = SectionRelabelled(section_id=each.section_id, label=each.label, previous=each.previous)
            events.append(Event(each.section_id, relabelling))
        return section, events

    def _classify_role(
        self, section: CurrentSection, descriptor: SectionDescriptor, corrections: list[LabelCorrection], end: float
    ) -> tuple[str | None, float | None]:
        """The likeliest role of a section that ends, and its probability; None where roles are not estimated."""
        if self._roles is None:
            return None, None
        for correction in corrections:
            self._roles.merge_labels(correction.previous, correction.label)
        if not section.label:
            return None, None
        roles = self._roles.add_and_classify_section(descriptor, section.label, section.start, end)
        if not roles:
            return None, None
        role = max(roles, key=roles.__getitem__)
        return role, round(roles[role], 3)

    def _update_estimate(self) -> list[Event]:
        """Estimate the current section's label again."""
        section, before = self._current, self._current.estimate
        section.estimate = now = self._labels.estimate_label(section.compute_descriptor(self._recent))
        if before and (before.label, before.name, before.seen_before) == (now.label, now.name, now.seen_before):
            return []
        return [self._make_update()]

    def _make_update(self) -> Event:
        section, estimate = self._current, self._current.estimate
        update = SectionUpdated(
            section_id=section.id,
            label=section.label,
            name=section.name,
            label_probabilities=estimate.probabilities if estimate else {},
            seen_before=estimate.seen_before if estimate else False,
            last_seen=estimate.last_seen if estimate else None,
        )
        return Event(section.id, update)
