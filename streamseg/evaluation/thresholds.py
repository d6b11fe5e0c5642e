"""Chooses confirmation policies: when, and from which probability on, a predicted boundary is confirmed.

They are chosen on the predictions of a boundary classifier for tracks that it was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.tracker import BoundaryTracker
from streamseg.engine.features.texture import HOP_FRAMES
from streamseg.engine.models.weights import BoundaryModel
from streamseg.evaluation import scores
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.timeliness import BoundaryStateChange
from streamseg.evaluation.tracks import TrackTexture, step_to_time_without_gaps, time_after_steps
from streamseg.settings import ENGINE_RATE, HOP, Settings

Floats = NDArray[np.float64]
# Look-ahead in seconds, threshold at the oldest age, rise towards the youngest, youngest age: see `BoundaryModel`.
ThresholdPolicy: TypeAlias = tuple[float, float, float, float]

_CANDIDATE_POLICIES = [
    (threshold, rise)
    for threshold in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
    for rise in (0.0, 0.15, 0.3, 0.5, 0.8)
]


@dataclass(frozen=True, slots=True)
class PolicyScore:
    """The scores of one confirmation policy (when to confirm a boundary) on several tracks, at a tolerance of 3 s.

    f, precision, recall: means over tracks; the others: of all tracks together. delay_median_s, delay_p90_s: from
    boundary to decision; infinite when no boundary was found.
    """

    f: float
    precision: float
    recall: float
    false_alarms_per_h: float
    delay_median_s: float
    delay_p90_s: float
    policy: ThresholdPolicy


def compute_boundary_probabilities(track: TrackTexture, model: BoundaryModel) -> Floats:
    """Compute how probably each candidate of a track is a boundary, after each texture vector; shape (vectors, ages).

    Column k is of the candidate that is `model.ages[k]` vectors old.
    """
    classifier = BoundaryClassifier(model)
    return np.array([classifier.push(vector) for vector in track.vectors])


def confirm_boundaries(
    probabilities: Floats, model: BoundaryModel, policy: ThresholdPolicy | None, settings: Settings
) -> list[DetectedBoundary]:
    """Return the boundaries of a track that a confirmation policy (None: the model's) confirms, in order of decision.

    probabilities: from `compute_boundary_probabilities`.
    """
    if policy is not None:
        model = replace(model, policies=np.array([policy]))
    history = run_boundary_tracker(probabilities, model, settings)
    return [DetectedBoundary(one.t, one.decided_t) for one in history if one.state == "confirmed" and one.t is not None]


def run_boundary_tracker(
    probabilities: Floats, model: BoundaryModel, settings: Settings
) -> tuple[BoundaryStateChange, ...]:
    """Run the boundary tracker over the probabilities of a track's candidates; return all its decisions, in order.

    probabilities: from `compute_boundary_probabilities`. The decisions have probabilities calibrated by
    `model.calibration`.
    """
    tracker = BoundaryTracker(settings, model)
    decisions = [(decision, step, False) for step, row in enumerate(probabilities, 1) for decision in tracker.push(row)]
    decisions += [(decision, len(probabilities), True) for decision in tracker.decide_all_pending_at_end()]
    return tuple(
        BoundaryStateChange(
            str(decision.number),
            decision.state,
            None if decision.state == "retracted" else float(step_to_time_without_gaps(decision.step)),
            time_after_steps(step),
            decision.probability,
            at_end,
        )
        for decision, step, at_end in decisions
    )


def score_policy(
    tracks: list[TrackTexture],
    probabilities: list[Floats],
    model: BoundaryModel,
    policy: ThresholdPolicy,
    settings: Settings,
) -> PolicyScore:
    """Score the boundaries that a confirmation policy confirms in annotated tracks.

    probabilities: of each track, from `compute_boundary_probabilities`.
    """
    track_scores, delays, alarms, hours = [], [], 0, 0.0
    for track, table in zip(tracks, probabilities, strict=True):
        boundaries = confirm_boundaries(table, model, policy, settings)
        spans = track.truth.spans
        hours += len(track.vectors) * HOP_FRAMES * HOP / ENGINE_RATE / 3600
        if track.truth.kind == "transitions":
            truth = [(span.start + span.end) / 2 for span in spans]
            score, pairs = scores.score_mix_transitions(spans, [boundary.t for boundary in boundaries])
        else:
            truth = scores.inner_boundaries(spans)
            boundaries = [boundary for boundary in boundaries if spans[0].start < boundary.t < spans[-1].end]
            score = scores.score_detection(truth, [boundary.t for boundary in boundaries], 3.0)
            pairs = scores.match_boundaries(truth, [boundary.t for boundary in boundaries], 3.0)
        track_scores.append(score)
        alarms += len(boundaries) - len(pairs)
        delays += [boundaries[j].decided_t - truth[i] for i, j in pairs]
    return PolicyScore(
        f=float(np.mean([one.f for one in track_scores])),
        precision=float(np.mean([one.precision for one in track_scores])),
        recall=float(np.mean([one.recall for one in track_scores])),
        false_alarms_per_h=alarms / hours,
        delay_median_s=float(np.median(delays)) if delays else np.inf,
        delay_p90_s=float(np.percentile(delays, 90)) if delays else np.inf,
        policy=policy,
    )


def score_policy_grid(
    tracks: list[TrackTexture], probabilities: list[Floats], model: BoundaryModel, settings: Settings
) -> list[PolicyScore]:
    """Score a fixed set of confirmation policies (threshold, rise of the threshold, youngest age) on annotated tracks.

    probabilities: as in `score_policy`. For the policies see `ThresholdPolicy`.
    """
    return [
        score_policy(tracks, probabilities, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _CANDIDATE_POLICIES
        for youngest in model.ages[::2]
    ]


def choose_policies(
    policy_scores: list[PolicyScore], lookaheads_s: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0)
) -> Floats:
    """Return for each look-ahead a row of `BoundaryModel.policies`: the policy of highest F that is fast enough.

    Fast enough: its median delay is within the look-ahead; if that of no policy is, the fastest is taken.
    policy_scores: of the policies to choose from. Returns shape (look-aheads, 4).
    """
    rows = []
    for lookahead_s in lookaheads_s:
        timely = [one for one in policy_scores if one.delay_median_s <= lookahead_s]
        one = max(timely, key=lambda one: one.f) if timely else min(policy_scores, key=lambda one: one.delay_median_s)
        rows.append((lookahead_s, *one.policy[1:]))
    return np.array(rows)
