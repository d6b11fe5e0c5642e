"""When to be sure: policies of the judge, tried on what it says of tracks that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.changepoints import ChangePoints
from streamseg.engine.judge import Judge
from streamseg.engine.texture import HOP_FRAMES
from streamseg.evaluation import scores
from streamseg.evaluation.promptness import Saying
from streamseg.evaluation.tracks import Track, boundary_time, heard_time
from streamseg.settings import ENGINE_RATE, HOP, Settings
from streamseg.weights import ChangeModel

Floats = NDArray[np.float64]
# Look-ahead in seconds, threshold at the oldest age, rise towards the youngest, youngest age: see `ChangeModel`.
Policy: TypeAlias = tuple[float, float, float, float]

_CANDIDATE_POLICIES = [
    (threshold, rise)
    for threshold in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
    for rise in (0.0, 0.15, 0.3, 0.5, 0.8)
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a policy does over tracks."""

    f: float
    precision: float
    recall: float
    false_alarms_per_h: float
    delay_median_s: float
    delay_p90_s: float
    policy: Policy


def judged(track: Track, model: ChangeModel) -> Floats:
    """The judge's whole testimony on a track: row by row what it says at each vector, shape (vectors, ages)."""
    judge = Judge(model)
    return np.array([judge.push(vector) for vector in track.vectors])


def decided(
    testimony: Floats, model: ChangeModel, policy: Policy | None, settings: Settings
) -> list[tuple[float, float]]:
    """(t, decided_t) of each change that a policy, or without one the model's own, confirms on that testimony."""
    said = sayings(testimony, model if policy is None else replace(model, policies=np.array([policy])), settings)
    return [(one.t, one.decided_t) for one in said if one.state == "confirmed" and one.t is not None]


def sayings(testimony: Floats, model: ChangeModel, settings: Settings) -> tuple[Saying, ...]:
    """Everything that is said on that testimony, before and when it is certain, as `model.spoken` has it."""
    changes = ChangePoints(settings, model)
    said = [(change, step, False) for step, row in enumerate(testimony, 1) for change in changes.push(row)]
    said += [(change, len(testimony), True) for change in changes.settle()]
    return tuple(
        Saying(
            str(change.number),
            change.state,
            None if change.state == "retracted" else float(boundary_time(change.step)),
            heard_time(step),
            change.probability,
            at_end,
        )
        for change, step, at_end in said
    )


def outcome(
    tracks: list[Track],
    tables: list[Floats],
    model: ChangeModel,
    policy: Policy,
    settings: Settings,
) -> Outcome:
    """Score a policy over testimonies."""
    found, delays, alarms, hours = [], [], 0, 0.0
    for track, table in zip(tracks, tables, strict=True):
        said = decided(table, model, policy, settings)
        spans = track.truth.spans
        hours += len(track.vectors) * HOP_FRAMES * HOP / ENGINE_RATE / 3600
        if track.truth.kind == "transitions":
            truth = [(span.start + span.end) / 2 for span in spans]
            result, pairs = scores.transitions(spans, [t for t, _ in said])
        else:
            truth = scores.inner_boundaries(spans)
            said = [(t, d) for t, d in said if spans[0].start < t < spans[-1].end]
            result = scores.detection(truth, [t for t, _ in said], 3.0)
            pairs = scores.matches(truth, [t for t, _ in said], 3.0)
        found.append(result)
        alarms += len(said) - len(pairs)
        delays += [said[j][1] - truth[i] for i, j in pairs]
    return Outcome(
        f=float(np.mean([one.f for one in found])),
        precision=float(np.mean([one.precision for one in found])),
        recall=float(np.mean([one.recall for one in found])),
        false_alarms_per_h=alarms / hours,
        delay_median_s=float(np.median(delays)) if delays else np.inf,
        delay_p90_s=float(np.percentile(delays, 90)) if delays else np.inf,
        policy=policy,
    )


def outcomes(tracks: list[Track], tables: list[Floats], model: ChangeModel, settings: Settings) -> list[Outcome]:
    """Every candidate policy, scored."""
    return [
        outcome(tracks, tables, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _CANDIDATE_POLICIES
        for youngest in model.ages[::2]
    ]


def best_policies(found: list[Outcome], lookaheads_s: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0)) -> Floats:
    """For each look-ahead, the policy of highest F whose median delay lies within it; the fastest where none does."""
    rows = []
    for lookahead_s in lookaheads_s:
        timely = [one for one in found if one.delay_median_s <= lookahead_s]
        one = max(timely, key=lambda one: one.f) if timely else min(found, key=lambda one: one.delay_median_s)
        rows.append((lookahead_s, *one.policy[1:]))
    return np.array(rows)
