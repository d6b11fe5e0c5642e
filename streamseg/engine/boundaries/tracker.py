"""The boundary tracker decides from probabilities which boundaries are provisional, confirmed or retracted.

Every texture step is a candidate, and the boundary classifier estimates its probability at several ages. A candidate
becomes provisional when its probability passes a threshold and no neighbour is likelier. It is confirmed when its
probability passes a second threshold, which falls with age: hard cuts are confirmed within seconds, slow fades later.
It is retracted when its probability falls, when it grows too old, or when a boundary is confirmed too near to it.
Boundaries are confirmed in the order of time, and no confirmation is ever taken back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.sensitivity import compute_threshold_shift, shift_threshold, shift_thresholds
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.settings import Settings

_RETRACTION_RATIO = 0.6  # of the provisional threshold: below, a provisional boundary is retracted
_EARLY_S = 3.0  # a boundary that becomes provisional later than this is useful only if it will be confirmed, so …
_LATE_ODDS_FACTOR = 3.0  # … its odds must be so many times those that an early one needs
_UNREACHABLE = 2.0  # a threshold that no probability reaches

DecisionState: TypeAlias = Literal["provisional", "confirmed", "retracted"]


@dataclass(slots=True)
class _PendingBoundary:
    """A provisional boundary."""

    number: int
    step: int


@dataclass(frozen=True, slots=True)
class BoundaryDecision:
    """The new state of one boundary: provisional, confirmed or retracted.

    number: 1, 2, 3 … in the order in which boundaries are first reported. step: number of the first texture vector
    after the boundary. probability: that the sound changed within seconds of it, 0 to 1. score: the classifier's
    probability as a fraction of the confirmation threshold.
    """

    state: DecisionState
    number: int
    step: int
    probability: float
    score: float


class BoundaryTracker:
    """Decides from the classifier's probabilities which boundaries are provisional, confirmed or retracted."""

    def __init__(self, settings: Settings, model: BoundaryModel, min_confirmation_delay_s: float = 0.0) -> None:
        """Compute the thresholds of every age from the settings and the model.

        min_confirmation_delay_s: the least time from a boundary to its confirmation.
        """
        self._ages = model.ages
        self._neighbourhood, self._min_distance = int(model.neighbourhood), int(model.min_distance)
        self._oldest = int(model.ages[-1]) + 8
        shift = compute_threshold_shift(settings)
        thresholds = shift_thresholds(compute_confirmation_thresholds(model, settings.lookahead_s, self._oldest), shift)
        if min_confirmation_delay_s > 0.0:  # one step more, since `confirm_boundary` is called after `push`
            thresholds[: math.ceil(min_confirmation_delay_s / STEP_S) + 1] = _UNREACHABLE
        self._confirmation_thresholds = compute_thresholds_by_distance(thresholds, model)
        self._stability_calibration, self._confidence_calibration = model.calibration
        self._provisional = shift_threshold(settings.provisional_probability, shift)
        self._threshold_at_end = shift_threshold(0.5, shift)
        late = _LATE_ODDS_FACTOR * self._provisional / (1.0 - self._provisional + _LATE_ODDS_FACTOR * self._provisional)
        self._provisional_thresholds = np.full(self._oldest + 1, late)
        self._provisional_thresholds[: round(_EARLY_S / STEP_S) + 1] = self._provisional
        self._lowest_threshold = min(self._provisional, float(self._confirmation_thresholds.min()))
        self._last_number = 0
        self._step = self._last_confirmed_step = 0
        self._pending: list[_PendingBoundary] = []
        # By age: entry a belongs to the candidate a steps back. Longer than the oldest age, for its neighbours.
        self._probability = np.zeros(self._oldest + self._neighbourhood + 1)

    @property
    def lookback_s(self) -> float:
        """How far back from the newest texture vector, in seconds, a boundary can still be found."""
        return (self._oldest + self._neighbourhood) * STEP_S

    def push(self, probabilities: NDArray[np.float64]) -> list[BoundaryDecision]:
        """Process the probabilities at the next texture vector; return the new decisions about boundaries, often none.

        probabilities: of the classifier, shape (ages,), one for each of the model's ages.
        """
        self._step += 1
        self._probability[1:] = self._probability[:-1].copy()
        self._probability[0] = 0.0
        self._probability[self._ages] = probabilities
        if not self._pending and self._probability.max() < self._lowest_threshold:
            return []
        return self._confirm_candidate() + self._update_pending()

    def confirm_boundary(self, step: int, probability: float) -> list[BoundaryDecision]:
        """Confirm a boundary that another detector (of jingles) found at texture vector `step`; return the decisions.

        probability: that of the confirmed boundary. Returns no decision when a boundary at `step` or later is confirmed
        already, or when `step` lies after the newest vector.
        """
        return self._confirm_step(step, probability) if self._last_confirmed_step < step < self._step else []

    def decide_all_pending_at_end(self) -> list[BoundaryDecision]:
        """Confirm or retract every provisional boundary at the end of the sound; return the decisions in order of time.

        At a sensitivity of .5, one is confirmed if its probability is .5 or more.
        """
        decisions: list[BoundaryDecision] = []
        for boundary in sorted(self._pending, key=lambda each: each.step):
            is_likely = self._probability[self._step - boundary.step] >= self._threshold_at_end
            if is_likely and boundary.step >= self._last_confirmed_step + self._min_distance:
                decisions.append(self._make_decision("confirmed", boundary))
                self._last_confirmed_step = boundary.step
            else:
                decisions.append(self._make_decision("retracted", boundary))
        self._pending = []
        return decisions

    def restart(self) -> None:
        """Start again after a long gap: delete all candidates, and continue the numbering of boundaries.

        Provisional boundaries are deleted without a decision: call `decide_all_pending_at_end` before.
        """
        self._step = self._last_confirmed_step = 0
        self._pending = []
        self._probability[:] = 0.0

    def _confirm_candidate(self) -> list[BoundaryDecision]:
        """Confirm the oldest candidate that passes its threshold and has no likelier neighbour."""
        eligible = self._eligible_ages()
        thresholds = self._thresholds_at(np.arange(eligible))
        for age in np.flatnonzero(self._probability[:eligible] >= thresholds)[::-1]:
            if self._is_local_maximum(int(age)):
                return self._confirm_step(self._step - int(age))
        return []

    def _confirm_step(self, step: int, probability: float | None = None) -> list[BoundaryDecision]:
        """Confirm a boundary at this step, and retract those that are too near. probability: the classifier's."""
        boundary = min(self._pending, key=lambda each: abs(each.step - step), default=None)
        if boundary is None or abs(boundary.step - step) > self._neighbourhood:
            boundary = self._add_pending(step)
        boundary.step = step
        others = [each for each in self._pending if each is not boundary]
        self._pending = [each for each in others if each.step >= step + self._min_distance]
        decisions = [self._make_decision("retracted", each) for each in others if each.step < step + self._min_distance]
        decisions.append(self._make_decision("confirmed", boundary, probability))
        self._last_confirmed_step = step  # only now: the scores above depend on the boundary before
        return decisions

    def _update_pending(self) -> list[BoundaryDecision]:
        """Move pending boundaries to their likeliest step, retract unlikely ones, and add new ones."""
        decisions: list[BoundaryDecision] = []
        for boundary in list(self._pending):
            age = self._step - boundary.step
            best = self._likeliest_age_near(age)
            if best is None or age > self._oldest or self._probability[best] < _RETRACTION_RATIO * self._provisional:
                self._pending.remove(boundary)
                decisions.append(self._make_decision("retracted", boundary))
            elif (
                abs(best - age) >= 2
                and self._is_local_maximum(best)
                and not self._has_pending_near(self._step - best, other_than=boundary)
            ):
                boundary.step = self._step - best
                decisions.append(self._make_decision("provisional", boundary))
        eligible = self._eligible_ages()
        for age in np.flatnonzero(self._probability[:eligible] >= self._provisional_thresholds[:eligible])[::-1]:
            step = self._step - int(age)
            if self._is_local_maximum(int(age)) and not self._has_pending_near(step):
                decisions.append(self._make_decision("provisional", self._add_pending(step)))
        return decisions

    def _likeliest_age_near(self, age: int) -> int | None:
        """The most probable eligible age in the neighbourhood of this one; None if there is no eligible age."""
        low = max(int(self._ages[0]), age - self._neighbourhood)
        high = min(age + self._neighbourhood, self._eligible_ages() - 1)
        return low + int(np.argmax(self._probability[low : high + 1])) if high >= low else None

    def _eligible_ages(self) -> int:
        """How many ages, from 0 on, lie within the look-back and far enough after the last confirmed boundary."""
        return max(0, min(self._oldest, self._step - self._last_confirmed_step - self._min_distance) + 1)

    def _thresholds_at(self, ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """Confirmation thresholds of these ages, at their distances from the last confirmed boundary."""
        distance = np.clip(self._step - self._last_confirmed_step - ages, 0, len(self._confirmation_thresholds) - 1)
        thresholds: NDArray[np.float64] = self._confirmation_thresholds[distance, ages]
        return thresholds

    def _is_local_maximum(self, age: int) -> bool:
        end = self._step - self._last_confirmed_step  # neighbours at or before the last confirmed boundary are left out
        near = self._probability[max(0, age - self._neighbourhood) : min(age + self._neighbourhood + 1, end)]
        return bool(self._probability[age] >= near.max(initial=0.0))

    def _has_pending_near(self, step: int, other_than: _PendingBoundary | None = None) -> bool:
        return any(each is not other_than and abs(each.step - step) <= self._neighbourhood for each in self._pending)

    def _add_pending(self, step: int) -> _PendingBoundary:
        self._last_number += 1
        self._pending.append(_PendingBoundary(self._last_number, step))
        return self._pending[-1]

    def _make_decision(
        self, state: DecisionState, boundary: _PendingBoundary, probability: float | None = None
    ) -> BoundaryDecision:
        """Make a decision. probability: of the boundary; the calibrated one of the classifier if left out."""
        age = min(max(self._step - boundary.step, 0), self._oldest)
        raw = float(self._probability[age])
        if probability is None:
            calibration = self._confidence_calibration if state == "confirmed" else self._stability_calibration
            probability = _calibrate_probability(raw, calibration)
        score = raw / float(self._thresholds_at(np.array(age)))
        return BoundaryDecision(state, boundary.number, boundary.step, probability, score)


def _calibrate_probability(probability: float, calibration: NDArray[np.float64]) -> float:
    """Apply a linear calibration of the log-odds (Platt 1999): slope, intercept. 0 and 1 stay."""
    if not 0.0 < probability < 1.0:
        return probability
    log_odds = calibration[0] * math.log(probability / (1.0 - probability)) + calibration[1]
    return float(1.0 / (1.0 + math.exp(-log_odds)))


def compute_confirmation_thresholds(model: BoundaryModel, lookahead_s: float, oldest_age: int) -> NDArray[np.float64]:
    """Return the least probability at which a candidate is confirmed, for each age from 0 to `oldest_age`, in vectors.

    lookahead_s: the setting; it selects one of the model's policies. Returns shape (oldest_age + 1,); 2 at an age
    at which no candidate is confirmed.
    """
    policies = model.policies
    within = policies[policies[:, 0] <= lookahead_s + 1e-9]
    _, threshold, rise, youngest = within[-1] if len(within) else policies[0]
    log_age = np.log(model.ages)
    youth = (log_age[-1] - log_age) / (log_age[-1] - log_age[0])
    at_ages = threshold + rise * (1.0 - threshold) * youth
    at_ages[model.ages < youngest] = _UNREACHABLE
    thresholds = np.full(oldest_age + 1, _UNREACHABLE)
    for k, age in enumerate(model.ages):
        thresholds[age:] = at_ages[k]
    return thresholds


def compute_thresholds_by_distance(thresholds: NDArray[np.float64], model: BoundaryModel) -> NDArray[np.float64]:
    """Return the confirmation thresholds at each distance from the last boundary, higher at shorter distances.

    thresholds: shape (ages,), those at the model's usual distance and beyond. One above 1 stays as it is.
    Returns shape (distances, ages); row d holds at a distance of d steps, the last row also at all longer ones.
    """
    if not len(model.spacing):
        return thresholds[None]
    weight, usual_s = model.spacing
    distance_s = np.maximum(np.arange(math.ceil(usual_s / STEP_S) + 1), 1) * STEP_S
    odds = np.maximum((usual_s / distance_s) ** weight, 1.0)[:, None]
    nearer: NDArray[np.float64] = odds * thresholds / (1.0 - thresholds + odds * thresholds)
    return np.where(thresholds > 1.0, thresholds, nearer)
