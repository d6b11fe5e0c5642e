"""Change points: every moment is a candidate, judged again and again while evidence arrives.

The judge gives the probability that the sound changed there. It is said
(provisional) when that is likely enough, more so when it comes late, and no neighbour is likelier; confirmed when
the probability passes a threshold that falls with age (hard cuts are sure in seconds, slow fades later); retracted
when a neighbour that is no neighbour of it, or the sound itself, says otherwise. Confirmation is strictly in the
order of time, and final.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.sensitivity import shift_threshold, shift_thresholds, threshold_shift
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.models.weights import BoundaryModel
from streamseg.settings import Settings

_RETRACTION_RATIO = (
    0.6  # a provisional change is taken back when its probability falls below this much of what a young one needs
)
_EARLY_S = 3.0  # a change first said later than this after it comes too late to be of use but as one that will last …
_LATE_ODDS_FACTOR = 3.0  # … so that its odds must be so many times those that do for a young one

DecisionState: TypeAlias = Literal["provisional", "confirmed", "retracted"]


@dataclass(slots=True)
class _PendingBoundary:
    """A change that was said and is not decided."""

    number: int
    step: int


@dataclass(frozen=True, slots=True)
class BoundaryDecision:
    """What is to be said of one change.

    number: 1, 2, 3 … in the order of being said. step: index of the first texture vector after the change.
    probability: that the sound changed within seconds of there, 0 to 1. score: how near to being confirmed, 1 is there.
    """

    state: DecisionState
    number: int
    step: int
    probability: float
    score: float


class BoundaryTracker:
    """Probabilities in, changes out."""

    def __init__(self, settings: Settings, model: BoundaryModel, min_confirmation_delay_s: float = 0.0) -> None:
        """patience_s: no change is confirmed sooner than so many seconds after it."""
        self._ages = model.ages
        self._neighbourhood, self._min_distance = int(model.neighbourhood), int(model.min_distance)
        self._oldest = int(model.ages[-1]) + 8
        shift = threshold_shift(settings)
        self._confirmation_thresholds = shift_thresholds(
            confirmation_thresholds(model, settings.lookahead_s, self._oldest), shift
        )
        if (
            min_confirmation_delay_s > 0.0
        ):  # one vector more: what else is known by then is asked for after the classifier
            self._confirmation_thresholds[: math.ceil(min_confirmation_delay_s / STEP_S) + 1] = 2.0
        self._confirmation_thresholds = thresholds_by_distance(self._confirmation_thresholds, model)
        self._stability_calibration, self._confidence_calibration = model.calibration
        self._provisional = shift_threshold(settings.provisional_probability, shift)
        self._needed_at_end = shift_threshold(0.5, shift)
        late = _LATE_ODDS_FACTOR * self._provisional / (1.0 - self._provisional + _LATE_ODDS_FACTOR * self._provisional)
        self._provisional_thresholds = np.full(self._oldest + 1, late)
        self._provisional_thresholds[: round(_EARLY_S / STEP_S) + 1] = self._provisional
        self._lowest_threshold = min(
            self._provisional, float(self._confirmation_thresholds.min())
        )  # below this there is nothing to say
        self._last_number = 0
        self._step = self._last_confirmed_step = 0
        self._pending: list[_PendingBoundary] = []
        # By age: entry a belongs to the candidate a vectors back. Kept beyond the oldest age for its neighbours.
        self._probability = np.zeros(self._oldest + self._neighbourhood + 1)

    @property
    def lookback_s(self) -> float:
        """How far back a change may still be found, seconds."""
        return (self._oldest + self._neighbourhood) * STEP_S

    def push(self, probabilities: NDArray[np.float64]) -> list[BoundaryDecision]:
        """Take the classifier's probabilities at one texture vector, one for each of the model's ages."""
        self._step += 1
        self._probability[1:] = self._probability[:-1].copy()
        self._probability[0] = 0.0
        self._probability[self._ages] = probabilities
        if not self._pending and self._probability.max() < self._lowest_threshold:
            return []
        return self._confirm_candidates() + self._update_pending()

    def settle_pending(self) -> list[BoundaryDecision]:
        """The sound ends here: what was said is confirmed or taken back, in order of time.

        At a sensitivity of .5 whichever is likelier.
        """
        changes: list[BoundaryDecision] = []
        for said in sorted(self._pending, key=lambda said: said.step):
            age = self._step - said.step
            sure = (
                self._probability[age] >= self._needed_at_end
                and said.step >= self._last_confirmed_step + self._min_distance
            )
            changes.append(self._make_decision("confirmed" if sure else "retracted", said))
            if sure:
                self._last_confirmed_step = said.step
        self._pending = []
        return changes

    def restart(self) -> None:
        """Forget what was heard, after a long gap; the numbering goes on."""
        self._step = self._last_confirmed_step = 0
        self._pending = []
        self._probability[:] = 0.0

    def _confirm_candidates(self) -> list[BoundaryDecision]:
        """The oldest candidate that is sure enough and the best of its neighbours."""
        probability = self._probability
        admitted = self._eligible_ages()
        needed = self._needed_at(np.arange(admitted))
        for age in np.flatnonzero(probability[:admitted] >= needed)[::-1]:
            if not self._is_local_maximum(int(age)):
                continue
            step = self._step - int(age)
            return self._confirm_at(step)
        return []

    def confirm_at(self, step: int) -> list[BoundaryDecision]:
        """A change known from elsewhere: confirmed at once, unless one was confirmed at its place or later."""
        return self._confirm_at(step) if self._last_confirmed_step < step < self._step else []

    def _confirm_at(self, step: int) -> list[BoundaryDecision]:
        """Confirm the change at this step; what it leaves no room for is taken back."""
        mine = min(self._pending, key=lambda said: abs(said.step - step), default=None)
        if mine is None or abs(mine.step - step) > self._neighbourhood:
            mine = self._add_pending(step)
        mine.step = step
        passed = [said for said in self._pending if said is not mine and said.step < step + self._min_distance]
        self._pending = [said for said in self._pending if said is not mine and said not in passed]
        changes = [*(self._make_decision("retracted", said) for said in passed), self._make_decision("confirmed", mine)]
        self._last_confirmed_step = step  # only now: what they needed depends on the change before
        return changes

    def _update_pending(self) -> list[BoundaryDecision]:
        """Keep the open changes at their likeliest place, drop those in doubt, and say new ones."""
        changes: list[BoundaryDecision] = []
        probability = self._probability
        youngest = int(self._ages[0])
        for said in list(self._pending):
            age = self._step - said.step
            low = max(youngest, age - self._neighbourhood)
            high = min(age + self._neighbourhood, self._eligible_ages() - 1)
            best = low + int(np.argmax(probability[low : high + 1])) if high >= low else -1
            if best < 0 or age > self._oldest or probability[best] < _RETRACTION_RATIO * self._provisional:
                self._pending.remove(said)
                changes.append(self._make_decision("retracted", said))
            elif (
                abs(best - age) >= 2
                and self._is_local_maximum(best)
                and not self._has_pending_near(self._step - best, said)
            ):
                said.step = self._step - best
                changes.append(self._make_decision("provisional", said))
        admitted = self._eligible_ages()
        for age in np.flatnonzero(probability[:admitted] >= self._provisional_thresholds[:admitted])[::-1]:
            step = self._step - int(age)
            if self._is_local_maximum(int(age)) and not self._has_pending_near(step):
                changes.append(self._make_decision("provisional", self._add_pending(step)))
        return changes

    def _eligible_ages(self) -> int:
        """How many ages, from 0 on, lie within the look-back and far enough behind the last change."""
        return max(0, min(self._oldest, self._step - self._last_confirmed_step - self._min_distance) + 1)

    def _needed_at(self, ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability that candidates of these ages must reach, so far from the last change as they are."""
        distance = np.clip(self._step - self._last_confirmed_step - ages, 0, len(self._confirmation_thresholds) - 1)
        needed: NDArray[np.float64] = self._confirmation_thresholds[distance, ages]
        return needed

    def _is_local_maximum(self, age: int) -> bool:
        last = self._step - self._last_confirmed_step  # a neighbour at or before the last change does not count
        near = self._probability[max(0, age - self._neighbourhood) : min(age + self._neighbourhood + 1, last)]
        return bool(self._probability[age] >= near.max(initial=0.0))

    def _has_pending_near(self, step: int, but: _PendingBoundary | None = None) -> bool:
        return any(said is not but and abs(said.step - step) <= self._neighbourhood for said in self._pending)

    def _add_pending(self, step: int) -> _PendingBoundary:
        self._last_number += 1
        self._pending.append(_PendingBoundary(self._last_number, step))
        return self._pending[-1]

    def _make_decision(self, state: DecisionState, boundary: _PendingBoundary) -> BoundaryDecision:
        age = min(max(self._step - boundary.step, 0), self._oldest)
        judged = float(self._probability[age])
        probability = _calibrate_probability(
            judged, self._confidence_calibration if state == "confirmed" else self._stability_calibration
        )
        return BoundaryDecision(
            state, boundary.number, boundary.step, probability, judged / float(self._needed_at(np.array(age)))
        )


def _calibrate_probability(probability: float, line: NDArray[np.float64]) -> float:
    """A probability whose log-odds are moved by a line: slope, shift."""
    if not 0.0 < probability < 1.0:
        return probability
    log_odds = line[0] * math.log(probability / (1.0 - probability)) + line[1]
    return float(1.0 / (1.0 + math.exp(-log_odds)))


def confirmation_thresholds(model: BoundaryModel, lookahead_s: float, oldest: int) -> NDArray[np.float64]:
    """The probability a candidate of each age, 0 to oldest, must reach to be confirmed."""
    rows = model.policies
    patient = rows[rows[:, 0] <= lookahead_s + 1e-9]
    _, threshold, rise, youngest = patient[-1] if len(patient) else rows[0]
    log_age = np.log(model.ages)
    youth = (log_age[-1] - log_age) / (log_age[-1] - log_age[0])
    at_ages = threshold + rise * (1.0 - threshold) * youth
    at_ages[model.ages < youngest] = 2.0
    needed = np.full(oldest + 1, 2.0)
    for k, age in enumerate(model.ages):
        needed[age:] = at_ages[k]
    return needed


def thresholds_by_distance(needed: NDArray[np.float64], model: BoundaryModel) -> NDArray[np.float64]:
    """The thresholds by distance from the last change, in vectors, and age; the last row holds from there on.

    needed: by age, where the distance is usual. What exceeds 1 is out of reach at any distance.
    """
    if not len(model.spacing):
        return needed[None]
    weight, usual_s = model.spacing
    distance_s = np.maximum(np.arange(math.ceil(usual_s / STEP_S) + 1), 1) * STEP_S
    odds = np.maximum((usual_s / distance_s) ** weight, 1.0)[:, None]
    by_distance: NDArray[np.float64] = np.where(needed > 1.0, needed, odds * needed / (1.0 - needed + odds * needed))
    return by_distance
