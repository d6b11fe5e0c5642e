"""Corrects the boundary classifier by feedback of listeners, before the tracker.

A listener marks a boundary as right or wrong, or marks where one was missed. A small correction is learned from the
marks: how much to add to the classifier's log-odds, given how far timbre, harmony, rhythm and level moved. It is a
logistic regression with the classifier's log-odds as a fixed offset, learned online (`river`) from all marks in their
order. The correction is bounded, so that no listener can suppress all boundaries or make one of silence. The engine
gets the learned model as it gets weights, and `stream.started` states its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, LEVEL, RHYTHM, STEP_S, TIMBRE
from streamseg.wire.messages import Verdict

FEATURE_GROUPS = {"timbre": TIMBRE, "harmony": HARMONY, "rhythm": RHYTHM, "level": LEVEL}
HISTORY_S = 600.0  # how far back a mark may lie
MAX_LOG_ODDS_SHIFT = 2.5  # 50 % becomes 92 % or 8 % at most
_COMPARED_STEPS = 16  # vectors compared on either side of a candidate
_LEARNING_RATE = 0.3
_L2_PENALTY = 0.01  # what is not marked again fades
_GROUP_MEANS = np.zeros((int(LEVEL[-1]) + 1, len(FEATURE_GROUPS)))  # times a vector: the mean of each group
for _column, _dims in enumerate(FEATURE_GROUPS.values()):
    _GROUP_MEANS[_dims, _column] = 1.0 / len(_dims)
_HISTORY_STEPS = round(HISTORY_S / STEP_S)
_MIN_PROBABILITY = 1e-9

# Seconds before and after a mark within which its candidate lies. Listeners mark a missed boundary late.
MARK_TOLERANCE_S: dict[Verdict, tuple[float, float]] = {
    "confirm": (3.0, 3.0),
    "reject": (3.0, 3.0),
    "boundary": (4.0, 1.5),
}


@dataclass(frozen=True, slots=True)
class CandidateObservation:
    """Measurements at a boundary candidate: changes of timbre, harmony, rhythm, level, and the log-odds of a boundary.

    distances: how much each of FEATURE_GROUPS changed there, 0 to 1. log_odds: the highest that the classifier
    estimated for a boundary there.
    """

    distances: tuple[float, ...]
    log_odds: float


class FeedbackObservation(
    msgspec.Struct, frozen=True, kw_only=True, rename={"distances": "moved", "is_boundary": "right"}
):
    """Measurements at a boundary candidate that a listener marked, and whether the candidate is a boundary.

    distances, log_odds: those of its `CandidateObservation`.
    """

    distances: tuple[float, ...]
    log_odds: float
    is_boundary: bool


class FeedbackModel(msgspec.Struct, frozen=True):
    """A correction, learned from listeners' marks, that is added to the log-odds that a candidate is a boundary.

    The sum is bias + sum of weight * distance. weights: one for each of FEATURE_GROUPS; distances: those of
    `CandidateObservation`.
    """

    bias: float
    weights: tuple[float, ...]

    @property
    def hash(self) -> str:
        """Hash of the bias and the weights, twelve hex digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


def fit_feedback_model(observations: Iterable[FeedbackObservation]) -> FeedbackModel | None:
    """Return a feedback model, learned from the observations in the given order; return None for no observations."""
    observations = list(observations)
    if not observations:
        return None
    from river import linear_model, optim  # half a second, which most streams never need

    regression = linear_model.LogisticRegression(optim.SGD(_LEARNING_RATE), l2=_L2_PENALTY, intercept_lr=_LEARNING_RATE)
    for each in observations:
        # The classifier's log-odds are added to the intercept for this step only: an offset, not a weight.
        regression.intercept += each.log_odds
        regression.learn_one(dict(zip(FEATURE_GROUPS, each.distances, strict=True)), each.is_boundary)
        regression.intercept -= each.log_odds
    weights = tuple(round(float(regression.weights.get(group, 0.0)), 6) for group in FEATURE_GROUPS)
    return FeedbackModel(round(float(regression.intercept), 6), weights)


class FeedbackCorrector:
    """Corrects boundary probabilities with a feedback model, and stores candidates that listeners may mark later."""

    def __init__(self, ages: NDArray[np.int64], model: FeedbackModel | None) -> None:
        """ages: of the classifier's candidates, in steps, ascending. model: None leaves every probability as it is."""
        self._ages = ages
        self._model = model
        self._step = 0
        # Rings by step: running sums of the vectors; and each candidate's highest log-odds, and its age then.
        self._vector_sums = np.zeros((_HISTORY_STEPS + int(ages[-1]) + 2 * _COMPARED_STEPS, len(_GROUP_MEANS)))
        self._log_odds = np.full(_HISTORY_STEPS, -np.inf)
        self._age = np.zeros(_HISTORY_STEPS, np.int64)

    def push(self, vector: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Process the next texture vector; return the probabilities, corrected by the model, shape (ages,); 0 stays 0.

        vector: shape (VECTOR_DIMS,). probabilities: of the classifier, shape (ages,).
        """
        sums, step = self._vector_sums, self._step
        sums[(step + 1) % len(sums)] = sums[step % len(sums)] + vector[: len(_GROUP_MEANS)]
        self._log_odds[step % _HISTORY_STEPS] = -np.inf  # this entry was that of the oldest step
        self._step += 1
        inner = np.clip(probabilities, _MIN_PROBABILITY, 1.0 - _MIN_PROBABILITY)
        log_odds = np.log(inner / (1.0 - inner))
        is_candidate = probabilities > 0.0
        entries = (self._step - self._ages) % _HISTORY_STEPS
        is_higher = is_candidate & (log_odds > self._log_odds[entries])
        self._log_odds[entries[is_higher]], self._age[entries[is_higher]] = log_odds[is_higher], self._ages[is_higher]
        if self._model is None:
            return probabilities
        distances = self._group_distances(self._step - self._ages, self._ages)
        shift = self._model.bias + distances @ np.array(self._model.weights)
        shift = np.clip(shift, -MAX_LOG_ODDS_SHIFT, MAX_LOG_ODDS_SHIFT)
        posterior: NDArray[np.float64] = np.where(is_candidate, 1.0 / (1.0 + np.exp(-log_odds - shift)), 0.0)
        return posterior

    def find_likeliest_candidate(self, first_step: int, last_step: int) -> CandidateObservation | None:
        """Return the likeliest candidate from texture vector `first_step` to `last_step`; None if none is stored."""
        oldest, newest = self._step - _HISTORY_STEPS, self._step - int(self._ages[0])
        steps = np.arange(max(first_step, 0, oldest), min(last_step, newest) + 1)
        if len(steps) == 0:
            return None
        best = steps[[np.argmax(self._log_odds[steps % _HISTORY_STEPS])]]
        log_odds, age = float(self._log_odds[best % _HISTORY_STEPS][0]), self._age[best % _HISTORY_STEPS]
        if not np.isfinite(log_odds):
            return None
        return CandidateObservation(tuple(self._group_distances(best, age)[0].round(6).tolist()), round(log_odds, 6))

    def _group_distances(self, steps: NDArray[np.int64], ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far each group of features moved across candidates, as seen at these ages; shape (candidates, groups)."""
        sums, size = self._vector_sums, len(self._vector_sums)
        before, after = np.clip(steps, 1, _COMPARED_STEPS), np.minimum(ages, _COMPARED_STEPS)
        middle = sums[steps % size]
        difference = (sums[(steps + after) % size] - middle) / after[:, None]
        difference -= (middle - sums[(steps - before) % size]) / before[:, None]
        distances: NDArray[np.float64] = 1.0 - np.exp(-(difference**2) @ _GROUP_MEANS)
        return distances
