"""The boundary detector runs candidate features, classifier, feedback, tracker and refinement, in this order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.feedback import (
    MARK_TOLERANCE_S,
    CandidateObservation,
    FeedbackCorrector,
    FeedbackModel,
)
from streamseg.engine.boundaries.refinement import BoundaryRefiner
from streamseg.engine.boundaries.sensitivity import lower_gate_at_high_sensitivity
from streamseg.engine.boundaries.tracker import BoundaryDecision, BoundaryTracker
from streamseg.engine.features.texture import HOP_FRAMES
from streamseg.engine.models.weights import BoundaryModel
from streamseg.engine.timeline import Timeline, boundary_time
from streamseg.settings import ENGINE_RATE, HOP, Settings
from streamseg.wire.messages import Verdict

_JINGLE_UNCERTAINTY_S = round(2 * HOP / ENGINE_RATE, 3)


class LocatedDecision(NamedTuple):
    """A decision about one boundary, with the times of the boundary and of the decision, in seconds of stream time.

    The fields are the arguments of `SectionTracker.apply_decision`. t: of the boundary. decided_t: of the last sample
    that the decision depends on. uncertainty_s: standard deviation of t. jingle: name of the jingle that starts at t
    and confirmed the boundary, None for other boundaries.
    """

    decision: BoundaryDecision
    t: float
    decided_t: float
    uncertainty_s: float
    jingle: str | None = None


class BoundaryDetector:
    """Decides at which texture vectors (one each half second) the sound changed, and finds each change's exact time."""

    def __init__(
        self,
        settings: Settings,
        model: BoundaryModel,
        timeline: Timeline,
        feedback: FeedbackModel | None = None,
        min_confirmation_delay_s: float = 0.0,
    ) -> None:
        """Start detecting at the beginning of a stream.

        timeline: the caller advances it by each frame and step before it pushes that here. feedback: learned from
        listeners, None for nothing. min_confirmation_delay_s: the least time from a boundary to its confirmation.
        """
        self._model, self._feedback = lower_gate_at_high_sensitivity(model, settings), feedback
        self._timeline = timeline
        self._tracker = BoundaryTracker(settings, model, min_confirmation_delay_s)
        self.restart()

    @property
    def lookback_s(self) -> float:
        """How far back from the newest texture vector, in seconds, a boundary can still be found."""
        return self._tracker.lookback_s

    def restart(self) -> None:
        """Start again after a long gap: delete all candidates and frames, and continue the numbering of boundaries.

        Provisional boundaries are deleted without a decision: call `decide_all_pending_at_end` before.
        """
        self._classifier = BoundaryClassifier(self._model)
        self._corrector = FeedbackCorrector(self._model.ages, self._feedback)
        self._tracker.restart()
        self.forget_frames_before_gap()

    def forget_frames_before_gap(self) -> None:
        """Delete the feature frames stored before a gap in the sound: they must not locate boundaries after the gap."""
        self._refiner = BoundaryRefiner(self.lookback_s)

    def store_frames(self, frames: NDArray[np.float64]) -> None:
        """Store the next feature frames, shape (n, COLUMNS_TOTAL); `push` locates boundaries exactly in them."""
        self._refiner.store_frames(frames)

    def push(self, vector: NDArray[np.float64]) -> list[LocatedDecision]:
        """Process the next texture vector, shape (VECTOR_DIMS,); return new decisions about boundaries, often none."""
        probabilities = self._corrector.push(vector, self._classifier.push(vector))
        return [self._locate(decision) for decision in self._tracker.push(probabilities)]

    def confirm_boundary_at_jingle(self, t: float, probability: float, jingle_name: str) -> list[LocatedDecision]:
        """Confirm a boundary at stream time t, in seconds, where a jingle starts; return the new decisions.

        probability: that the jingle is there, 0 to 1. Returns no decision when a boundary at or after that step is
        confirmed already.
        """
        decisions = []
        for decision in self._tracker.confirm_boundary(self._timeline.nearest_step(t), probability):
            if decision.state == "confirmed":
                decided_t = self._timeline.decision_time
                decisions.append(LocatedDecision(decision, t, decided_t, _JINGLE_UNCERTAINTY_S, jingle=jingle_name))
            else:
                decisions.append(self._locate(decision))
        return decisions

    def decide_all_pending_at_end(self) -> list[LocatedDecision]:
        """Confirm or retract each provisional boundary at the end or before a long gap; return the decisions."""
        return [self._locate(decision) for decision in self._tracker.decide_all_pending_at_end()]

    def find_marked_candidate(self, t: float, verdict: Verdict) -> CandidateObservation | None:
        """Return the likeliest stored candidate near a listener's mark at stream time t (s), None if there is none.

        verdict: of the listener; it determines how many seconds before and after t are searched.
        """
        before_s, after_s = MARK_TOLERANCE_S[verdict]
        first, last = self._timeline.nearest_step(t - before_s), self._timeline.nearest_step(t + after_s)
        return self._corrector.find_likeliest_candidate(first, last)

    def _locate(self, decision: BoundaryDecision) -> LocatedDecision:
        stretch_start, frame = self._timeline.locate_step(decision.step)
        uncertainty = float(HOP_FRAMES)
        if stretch_start == self._timeline.stretch_start and decision.state != "retracted":  # its time is not emitted
            frame, uncertainty = self._refiner.refine_boundary(frame)
        t = boundary_time(stretch_start, frame)
        return LocatedDecision(decision, t, self._timeline.decision_time, round(uncertainty * HOP / ENGINE_RATE, 3))
