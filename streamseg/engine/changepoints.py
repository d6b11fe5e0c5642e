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

from streamseg.engine.sensitivity import shift_threshold, shift_thresholds, threshold_shift
from streamseg.engine.texture import STEP_S
from streamseg.settings import Settings
from streamseg.weights import ChangeModel

_DOUBT = 0.6  # a provisional change is taken back when its probability falls below this much of what a young one needs
_SOON_S = 3.0  # a change first said later than this after it comes too late to be of use but as one that will last …
_LATE_ODDS = 3.0  # … so that its odds must be so many times those that do for a young one

State: TypeAlias = Literal["provisional", "confirmed", "retracted"]


@dataclass(slots=True)
class _Open:
    """A change that was said and is not decided."""

    number: int
    step: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be said of one change.

    number: 1, 2, 3 … in the order of being said. step: index of the first texture vector after the change.
    probability: that the sound changed within seconds of there, 0 to 1. score: how near to being confirmed, 1 is there.
    """

    state: State
    number: int
    step: int
    probability: float
    score: float


class ChangePoints:
    """Probabilities in, changes out."""

    def __init__(self, settings: Settings, model: ChangeModel, patience_s: float = 0.0) -> None:
        """patience_s: no change is confirmed sooner than so many seconds after it."""
        self._ages = model.ages
        self._near, self._gap = int(model.near), int(model.gap)
        self._oldest = int(model.ages[-1]) + 8
        shift = threshold_shift(settings)
        self._needed = shift_thresholds(thresholds(model, settings.lookahead_s, self._oldest), shift)
        if patience_s > 0.0:  # one vector more: what else is known by then is asked for after the classifier
            self._needed[: math.ceil(patience_s / STEP_S) + 1] = 2.0
        self._needed = thresholds_by_distance(self._needed, model)
        self._stability, self._confidence = model.spoken
        self._provisional = shift_threshold(settings.provisional_probability, shift)
        self._needed_at_end = shift_threshold(0.5, shift)
        late = _LATE_ODDS * self._provisional / (1.0 - self._provisional + _LATE_ODDS * self._provisional)
        self._worth_saying = np.full(self._oldest + 1, late)
        self._worth_saying[: round(_SOON_S / STEP_S) + 1] = self._provisional
        self._least = min(self._provisional, float(self._needed.min()))  # below this there is nothing to say
        self._said = 0
        self._step = self._last = 0
        self._open: list[_Open] = []
        # By age: entry a belongs to the candidate a vectors back. Kept beyond the oldest age for its neighbours.
        self._probability = np.zeros(self._oldest + self._near + 1)

    @property
    def lookback_s(self) -> float:
        """How far back a change may still be found, seconds."""
        return (self._oldest + self._near) * STEP_S

    def push(self, probabilities: NDArray[np.float64]) -> list[Change]:
        """Take the classifier's probabilities at one texture vector, one for each of the model's ages."""
        self._step += 1
        self._probability[1:] = self._probability[:-1].copy()
        self._probability[0] = 0.0
        self._probability[self._ages] = probabilities
        if not self._open and self._probability.max() < self._least:
            return []
        return self._confirm() + self._follow()

    def settle(self) -> list[Change]:
        """The sound ends here: what was said is confirmed or taken back, in order of time.

        At a sensitivity of .5 whichever is likelier.
        """
        changes: list[Change] = []
        for said in sorted(self._open, key=lambda said: said.step):
            age = self._step - said.step
            sure = self._probability[age] >= self._needed_at_end and said.step >= self._last + self._gap
            changes.append(self._change("confirmed" if sure else "retracted", said))
            if sure:
                self._last = said.step
        self._open = []
        return changes

    def restart(self) -> None:
        """Forget what was heard, after a long gap; the numbering goes on."""
        self._step = self._last = 0
        self._open = []
        self._probability[:] = 0.0

    def _confirm(self) -> list[Change]:
        """The oldest candidate that is sure enough and the best of its neighbours."""
        probability = self._probability
        admitted = self._admitted()
        needed = self._needed_at(np.arange(admitted))
        for age in np.flatnonzero(probability[:admitted] >= needed)[::-1]:
            if not self._is_best(int(age)):
                continue
            step = self._step - int(age)
            return self._settle_on(step)
        return []

    def insist(self, step: int) -> list[Change]:
        """A change known from elsewhere: confirmed at once, unless one was confirmed at its place or later."""
        return self._settle_on(step) if self._last < step < self._step else []

    def _settle_on(self, step: int) -> list[Change]:
        """Confirm the change at this step; what it leaves no room for is taken back."""
        mine = min(self._open, key=lambda said: abs(said.step - step), default=None)
        if mine is None or abs(mine.step - step) > self._near:
            mine = self._name(step)
        mine.step = step
        passed = [said for said in self._open if said is not mine and said.step < step + self._gap]
        self._open = [said for said in self._open if said is not mine and said not in passed]
        changes = [*(self._change("retracted", said) for said in passed), self._change("confirmed", mine)]
        self._last = step  # only now: what they needed depends on the change before
        return changes

    def _follow(self) -> list[Change]:
        """Keep the open changes at their likeliest place, drop those in doubt, and say new ones."""
        changes: list[Change] = []
        probability = self._probability
        youngest = int(self._ages[0])
        for said in list(self._open):
            age = self._step - said.step
            low = max(youngest, age - self._near)
            high = min(age + self._near, self._admitted() - 1)
            best = low + int(np.argmax(probability[low : high + 1])) if high >= low else -1
            if best < 0 or age > self._oldest or probability[best] < _DOUBT * self._provisional:
                self._open.remove(said)
                changes.append(self._change("retracted", said))
            elif abs(best - age) >= 2 and self._is_best(best) and not self._claimed(self._step - best, said):
                said.step = self._step - best
                changes.append(self._change("provisional", said))
        admitted = self._admitted()
        for age in np.flatnonzero(probability[:admitted] >= self._worth_saying[:admitted])[::-1]:
            step = self._step - int(age)
            if self._is_best(int(age)) and not self._claimed(step):
                changes.append(self._change("provisional", self._name(step)))
        return changes

    def _admitted(self) -> int:
        """How many ages, from 0 on, lie within the look-back and far enough behind the last change."""
        return max(0, min(self._oldest, self._step - self._last - self._gap) + 1)

    def _needed_at(self, ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability that candidates of these ages must reach, so far from the last change as they are."""
        distance = np.clip(self._step - self._last - ages, 0, len(self._needed) - 1)
        needed: NDArray[np.float64] = self._needed[distance, ages]
        return needed

    def _is_best(self, age: int) -> bool:
        last = self._step - self._last  # a neighbour at or before the last change does not count
        near = self._probability[max(0, age - self._near) : min(age + self._near + 1, last)]
        return bool(self._probability[age] >= near.max(initial=0.0))

    def _claimed(self, step: int, but: _Open | None = None) -> bool:
        return any(said is not but and abs(said.step - step) <= self._near for said in self._open)

    def _name(self, step: int) -> _Open:
        self._said += 1
        self._open.append(_Open(self._said, step))
        return self._open[-1]

    def _change(self, state: State, said: _Open) -> Change:
        age = min(max(self._step - said.step, 0), self._oldest)
        judged = float(self._probability[age])
        probability = _mapped(judged, self._confidence if state == "confirmed" else self._stability)
        return Change(state, said.number, said.step, probability, judged / float(self._needed_at(np.array(age))))


def _mapped(probability: float, line: NDArray[np.float64]) -> float:
    """A probability whose log-odds are moved by a line: slope, shift."""
    if not 0.0 < probability < 1.0:
        return probability
    log_odds = line[0] * math.log(probability / (1.0 - probability)) + line[1]
    return float(1.0 / (1.0 + math.exp(-log_odds)))


def thresholds(model: ChangeModel, lookahead_s: float, oldest: int) -> NDArray[np.float64]:
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


def thresholds_by_distance(needed: NDArray[np.float64], model: ChangeModel) -> NDArray[np.float64]:
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
