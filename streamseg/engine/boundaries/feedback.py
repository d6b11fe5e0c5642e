"""Lessons: what listeners taught, between the judge and the change points.

A listener says of a boundary that it is right or wrong, or that there is one the program missed. What is learned is
small: how much likelier or less likely than the judge says a change is, from how far timbre, harmony, rhythm and level
move. A logistic regression with the judge's log-odds as a fixed offset, learned online (`river`), replayed from the
kept marks; its shift of the log-odds is bounded, so that no listener can make the program deaf or make it see a change
in silence. The engine is handed the outcome like weights, and its hash is named in `stream.started`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, LEVEL, RHYTHM, STEP_S, TIMBRE

FEATURE_GROUPS = {"timbre": TIMBRE, "harmony": HARMONY, "rhythm": RHYTHM, "level": LEVEL}
HISTORY_S = 600.0  # how far back a mark may reach
MAX_LOG_ODDS_SHIFT = 2.5  # log-odds: an even chance becomes 92 % or 8 %, no more
_COMPARED_STEPS = 16  # vectors compared on either side
_LEARNING_RATE = 0.3
_L2_PENALTY = 0.01  # a lesson never repeated fades
_GROUP_MEANS = np.zeros((int(LEVEL[-1]) + 1, len(FEATURE_GROUPS)))  # times a vector: its mean over each part
for _column, _dims in enumerate(FEATURE_GROUPS.values()):
    _GROUP_MEANS[_dims, _column] = 1.0 / len(_dims)
_HISTORY_STEPS = round(HISTORY_S / STEP_S)
_MIN_PROBABILITY = 1e-9

Verdict: TypeAlias = Literal["confirm", "reject", "boundary"]
# Seconds before and after a mark within which its change is sought. Whoever presses "here" is late.
MARK_TOLERANCE_S: dict[Verdict, tuple[float, float]] = {
    "confirm": (3.0, 3.0),
    "reject": (3.0, 3.0),
    "boundary": (4.0, 1.5),
}


@dataclass(frozen=True, slots=True)
class CandidateObservation:
    """What was known of one candidate: how far each of PARTS moved, 0 to 1; the judge's log-odds at their highest."""

    distances: tuple[float, ...]
    log_odds: float


class FeedbackObservation(
    msgspec.Struct, frozen=True, kw_only=True, rename={"distances": "moved", "is_boundary": "right"}
):
    """One candidate and the listener's word on it."""

    distances: tuple[float, ...]
    log_odds: float
    is_boundary: bool


class FeedbackModel(msgspec.Struct, frozen=True):
    """What all marks amount to.

    Added to the log-odds is `bias` and, for each of PARTS, its weight times how far it moved.
    """

    bias: float
    weights: tuple[float, ...]

    @property
    def hash(self) -> str:
        """Twelve hex digits that differ when any number differs."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


def fit_feedback(marks: Iterable[FeedbackObservation]) -> FeedbackModel | None:
    """Learn from marks, in their order; None from none."""
    marks = list(marks)
    if not marks:
        return None
    from river import linear_model, optim  # half a second, which most streams never need

    regression = linear_model.LogisticRegression(optim.SGD(_LEARNING_RATE), l2=_L2_PENALTY, intercept_lr=_LEARNING_RATE)
    for mark in marks:
        # The judge's own opinion stands in the intercept while this mark is learned: an offset, not a weight.
        regression.intercept += mark.log_odds
        regression.learn_one(dict(zip(FEATURE_GROUPS, mark.distances, strict=True)), mark.is_boundary)
        regression.intercept -= mark.log_odds
    weights = tuple(round(float(regression.weights.get(part, 0.0)), 6) for part in FEATURE_GROUPS)
    return FeedbackModel(round(float(regression.intercept), 6), weights)


class FeedbackCorrection:
    """Probabilities in, probabilities out; and what was known of each candidate, for those who mark it later."""

    def __init__(self, ages: NDArray[np.int64], model: FeedbackModel | None) -> None:
        """ages: of the judge's candidates. taught: None leaves every probability as it is."""
        self._ages = ages
        self._model = model
        self._step = 0
        # Rings by step: running sums of the vectors, and at its likeliest each candidate's log-odds and age.
        self._vector_sums = np.zeros((_HISTORY_STEPS + int(ages[-1]) + 2 * _COMPARED_STEPS, len(_GROUP_MEANS)))
        self._log_odds = np.full(_HISTORY_STEPS, -np.inf)
        self._age = np.zeros(_HISTORY_STEPS, np.int64)

    def push(self, vector: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take a texture vector and what the judge says at it, a probability for each age; returns what to believe."""
        totals, step = self._vector_sums, self._step
        totals[(step + 1) % len(totals)] = totals[step % len(totals)] + vector[: len(_GROUP_MEANS)]
        self._log_odds[step % _HISTORY_STEPS] = -np.inf  # of the one that is forgotten
        self._step += 1
        likely = np.clip(probabilities, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        log_odds = np.log(likely / (1.0 - likely))
        heard = probabilities > 0.0
        at = (self._step - self._ages) % _HISTORY_STEPS
        risen = heard & (log_odds > self._log_odds[at])
        self._log_odds[at[risen]], self._age[at[risen]] = log_odds[risen], self._ages[risen]
        if self._model is None:
            return probabilities
        moved = self._group_distances(self._step - self._ages, self._ages)
        shift = np.clip(
            self._model.bias + moved @ np.array(self._model.weights), -MAX_LOG_ODDS_SHIFT, MAX_LOG_ODDS_SHIFT
        )
        believed: NDArray[np.float64] = np.where(heard, 1.0 / (1.0 + np.exp(-log_odds - shift)), 0.0)
        return believed

    def find_candidate(self, first: int, last: int) -> CandidateObservation | None:
        """The likeliest candidate among these steps, both inclusive; None when none of them is remembered."""
        steps = np.arange(max(first, 0, self._step - _HISTORY_STEPS), min(last, self._step - int(self._ages[0])) + 1)
        if len(steps) == 0:
            return None
        best = steps[[np.argmax(self._log_odds[steps % _HISTORY_STEPS])]]
        log_odds, age = float(self._log_odds[best % _HISTORY_STEPS][0]), self._age[best % _HISTORY_STEPS]
        if not np.isfinite(log_odds):
            return None
        return CandidateObservation(tuple(self._group_distances(best, age)[0].round(6).tolist()), round(log_odds, 6))

    def _group_distances(self, steps: NDArray[np.int64], ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far each part moved across these candidates, as known at these ages; shape (candidates, parts)."""
        totals, size = self._vector_sums, len(self._vector_sums)
        before, after = np.clip(steps, 1, _COMPARED_STEPS), np.minimum(ages, _COMPARED_STEPS)
        middle = totals[steps % size]
        apart = (totals[(steps + after) % size] - middle) / after[:, None]
        apart -= (middle - totals[(steps - before) % size]) / before[:, None]
        moved: NDArray[np.float64] = 1.0 - np.exp(-(apart**2) @ _GROUP_MEANS)
        return moved
