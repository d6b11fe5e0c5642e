"""When to be sure: policies of the judge, tried on what it says of tracks that it was not trained on."""

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
from streamseg.evaluation.timeliness import BoundaryPrediction
from streamseg.evaluation.tracks import TrackTexture, step_end_time, step_to_time
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
    """How a policy does over tracks."""

    f: float
    precision: float
    recall: float
    false_alarms_per_h: float
    delay_median_s: float
    delay_p90_s: float
    policy: ThresholdPolicy


def predict_track(track: TrackTexture, model: BoundaryModel) -> Floats:
    """The judge's whole testimony on a track: row by row what it says at each vector, shape (vectors, ages)."""
    classifier = BoundaryClassifier(model)
    return np.array([classifier.push(vector) for vector in track.vectors])


def confirmed_boundaries(
    probabilities: Floats, model: BoundaryModel, policy: ThresholdPolicy | None, settings: Settings
) -> list[tuple[float, float]]:
    """(t, decided_t) of each change that a policy, or without one the model's own, confirms on that testimony."""
    said = boundary_history(
        probabilities, model if policy is None else replace(model, policies=np.array([policy])), settings
    )
    return [(one.t, one.decided_t) for one in said if one.state == "confirmed" and one.t is not None]


def boundary_history(probabilities: Floats, model: BoundaryModel, settings: Settings) -> tuple[BoundaryPrediction, ...]:
    """Everything that is said on that testimony, before and when it is certain, as `model.spoken` has it."""
    changes = BoundaryTracker(settings, model)
    said = [(change, step, False) for step, row in enumerate(probabilities, 1) for change in changes.push(row)]
    said += [(change, len(probabilities), True) for change in changes.settle_pending()]
    return tuple(
        BoundaryPrediction(
            str(change.number),
            change.state,
            None if change.state == "retracted" else float(step_to_time(change.step)),
            step_end_time(step),
            change.probability,
            at_end,
        )
        for change, step, at_end in said
    )


def score_policy(
    tracks: list[TrackTexture],
    tables: list[Floats],
    model: BoundaryModel,
    policy: ThresholdPolicy,
    settings: Settings,
) -> PolicyScore:
    """Score a policy over testimonies."""
    found, delays, alarms, hours = [], [], 0, 0.0
    for track, table in zip(tracks, tables, strict=True):
        said = confirmed_boundaries(table, model, policy, settings)
        spans = track.truth.spans
        hours += len(track.vectors) * HOP_FRAMES * HOP / ENGINE_RATE / 3600
        if track.truth.kind == "transitions":
            truth = [(span.start + span.end) / 2 for span in spans]
            result, pairs = scores.score_transitions(spans, [t for t, _ in said])
        else:
            truth = scores.inner_boundaries(spans)
            said = [(t, d) for t, d in said if spans[0].start < t < spans[-1].end]
            result = scores.score_detection(truth, [t for t, _ in said], 3.0)
            pairs = scores.match_boundaries(truth, [t for t, _ in said], 3.0)
        found.append(result)
        alarms += len(said) - len(pairs)
        delays += [said[j][1] - truth[i] for i, j in pairs]
    return PolicyScore(
        f=float(np.mean([one.f for one in found])),
        precision=float(np.mean([one.precision for one in found])),
        recall=float(np.mean([one.recall for one in found])),
        false_alarms_per_h=alarms / hours,
        delay_median_s=float(np.median(delays)) if delays else np.inf,
        delay_p90_s=float(np.percentile(delays, 90)) if delays else np.inf,
        policy=policy,
    )


def score_policies(
    tracks: list[TrackTexture], tables: list[Floats], model: BoundaryModel, settings: Settings
) -> list[PolicyScore]:
    """Every candidate policy, scored."""
    return [
        score_policy(tracks, tables, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _CANDIDATE_POLICIES
        for youngest in model.ages[::2]
    ]


def choose_policies(
    policy_scores: list[PolicyScore], lookaheads_s: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0)
) -> Floats:
    """For each look-ahead, the policy of highest F whose median delay lies within it; the fastest where none does."""
    rows = []
    for lookahead_s in lookaheads_s:
        timely = [one for one in policy_scores if one.delay_median_s <= lookahead_s]
        one = max(timely, key=lambda one: one.f) if timely else min(policy_scores, key=lambda one: one.delay_median_s)
        rows.append((lookahead_s, *one.policy[1:]))
    return np.array(rows)
