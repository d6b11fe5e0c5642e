"""The boundary detector: candidate features and classifier, feedback correction, tracker, refinement, in this order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.feedback import (
    MARK_TOLERANCE_S,
    CandidateObservation,
    FeedbackCorrection,
    FeedbackModel,
)
from streamseg.engine.boundaries.refinement import BoundaryRefiner
from streamseg.engine.boundaries.sensitivity import widen_gate
from streamseg.engine.boundaries.tracker import BoundaryDecision, BoundaryTracker
from streamseg.engine.features.texture import HOP_FRAMES
from streamseg.engine.models.weights import BoundaryModel
from streamseg.engine.timeline import Timeline, boundary_time
from streamseg.settings import ENGINE_RATE, HOP, Settings
from streamseg.wire.messages import Verdict

_JINGLE_UNCERTAINTY_S = round(2 * HOP / ENGINE_RATE, 3)


class LocatedDecision(NamedTuple):
    """A decision with its times. The arguments of `SectionTracker.apply_decision`.

    t: stream seconds of the boundary. decided_t: stream seconds of the last sample that the decision rests on.
    uncertainty_s: standard deviation of t. jingle: the name of the jingle that starts at t and confirmed the boundary.
    """

    decision: BoundaryDecision
    t: float
    decided_t: float
    uncertainty_s: float
    jingle: str | None = None


class BoundaryDetector:
    """Decides at which steps the sound changed, and locates each change to the frame."""

    def __init__(
        self,
        settings: Settings,
        model: BoundaryModel,
        timeline: Timeline,
        feedback: FeedbackModel | None = None,
        min_confirmation_delay_s: float = 0.0,
    ) -> None:
        """Start detecting at the beginning of a stream.

        timeline: counts the frames and steps of the stream; the caller counts each before it pushes it here.
        feedback: learned from listeners, None for none. min_confirmation_delay_s: as in `BoundaryTracker`.
        """
        self._model, self._feedback = widen_gate(model, settings), feedback
        self._timeline = timeline
        self._tracker = BoundaryTracker(settings, model, min_confirmation_delay_s)
        self.restart()

    @property
    def lookback_s(self) -> float:
        """How far back a boundary may still be found, to the nearest step, seconds."""
        return self._tracker.lookback_s

    def restart(self) -> None:
        """Forget everything but the numbering of boundaries, after a long gap."""
        self._classifier = BoundaryClassifier(self._model)
        self._correction = FeedbackCorrection(self._model.ages, self._feedback)
        self._tracker.restart()
        self.start_stretch()

    def start_stretch(self) -> None:
        """Forget the frames: no boundary is refined with frames from before a gap."""
        self._refiner = BoundaryRefiner(self.lookback_s)

    def push_frames(self, frames: NDArray[np.float64]) -> None:
        """Keep feature frames, shape (n, COLUMNS_TOTAL), for the refinement."""
        self._refiner.push(frames)

    def push(self, vector: NDArray[np.float64]) -> list[LocatedDecision]:
        """Process the texture vector of the next step, shape (VECTOR_DIMS,); returns the decisions it leads to."""
        probabilities = self._correction.push(vector, self._classifier.push(vector))
        return [self._locate(decision) for decision in self._tracker.push(probabilities)]

    def confirm_jingle(self, t: float, probability: float, name: str) -> list[LocatedDecision]:
        """Confirm a boundary at stream time t, where the jingle `name` starts with this probability.

        Returns no confirmation when a boundary at or after that step is confirmed already.
        """
        decisions = []
        for decision in self._tracker.confirm_at(self._timeline.step_at(t), probability):
            if decision.state == "confirmed":
                decided_t = self._timeline.decision_time
                decisions.append(LocatedDecision(decision, t, decided_t, _JINGLE_UNCERTAINTY_S, jingle=name))
            else:
                decisions.append(self._locate(decision))
        return decisions

    def settle_pending(self) -> list[LocatedDecision]:
        """Decide all pending boundaries, at the end of the sound or before a long gap."""
        return [self._locate(decision) for decision in self._tracker.settle_pending()]

    def find_candidate(self, t: float, verdict: Verdict) -> CandidateObservation | None:
        """The likeliest candidate near stream time t, for a listener's verdict; None when none is remembered."""
        before_s, after_s = MARK_TOLERANCE_S[verdict]
        first, last = self._timeline.step_at(t - before_s), self._timeline.step_at(t + after_s)
        return self._correction.find_candidate(first, last)

    def _locate(self, decision: BoundaryDecision) -> LocatedDecision:
        stretch_start, frame = self._timeline.locate_step(decision.step)
        uncertainty = float(HOP_FRAMES)
        if stretch_start == self._timeline.stretch_start and decision.state != "retracted":  # its time is not emitted
            frame, uncertainty = self._refiner.refine_boundary(frame)
        t = boundary_time(stretch_start, frame)
        return LocatedDecision(decision, t, self._timeline.decision_time, round(uncertainty * HOP / ENGINE_RATE, 3))
