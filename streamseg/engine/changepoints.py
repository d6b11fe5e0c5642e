"""Change points: which of the partition's changes are said, confirmed or taken back, and when.

A change is a candidate while the best segmentation contains it (give or take `_SAME_STEPS`: evidence moves it a
little). It is said once it has stayed for `provisional_s`, confirmed once it has stayed for `confirm_s`, and
retracted when it has been away for `_GRACE_STEPS`. Confirmation is strictly in the order of time, and final: the
partition is cut there, so that nothing heard later can reopen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.partition import Partition
from streamseg.settings import FRAMES_PER_SECOND, Settings

_SAME_STEPS = 6
_GRACE_STEPS = 2

State: TypeAlias = Literal["provisional", "confirmed", "retracted"]


@dataclass(slots=True)
class _Candidate:
    step: int
    since: int  # the step at which it came onto the path
    away: int = 0
    number: int = 0  # 0 until it was said


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be said of one change.

    number: 1, 2, 3 … in the order of being said. step: index of the first texture vector after the change.
    score: cost gain in units of the penalty. stability: how far it is on the way to confirmation, 0 to 1.
    """

    state: State
    number: int
    step: int
    score: float
    stability: float


class ChangePoints:
    """Texture vectors in, changes out."""

    def __init__(self, settings: Settings, dims: int) -> None:
        step_s = settings.texture_hop_frames / FRAMES_PER_SECOND
        self._confirm_steps = max(1, round(settings.confirm_s / step_s))
        self._lookback_steps = max(1, round(settings.lookback_s / step_s))
        self._provisional_steps = max(1, round(settings.provisional_s / step_s))
        self._step = 0
        self._said = 0
        self._candidates: list[_Candidate] = []
        self._partition = Partition(
            dims,
            (settings.penalty,),
            gamma=settings.kernel_gamma,
            min_steps=max(1, round(settings.min_section_s / step_s)),
            capacity=max(64, round(settings.horizon_s / step_s)),
        )

    def push(self, vector: NDArray[np.float64]) -> list[Change]:
        """Weigh one texture vector, shape (dims,), standardised, against the running segmentation."""
        self._partition.push(vector)
        self._step += 1
        retracted = self._follow(self._partition.changes())
        return retracted + self._decide()

    def settle(self) -> list[Change]:
        """The sound ends here: what was said and still holds is confirmed, the rest taken back."""
        said = [candidate for candidate in self._candidates if candidate.number]
        self._candidates = []
        return [self._change("retracted" if candidate.away else "confirmed", candidate) for candidate in said]

    def restart(self) -> None:
        """Forget what was heard, after a long gap; the numbering goes on."""
        self._partition.clear()
        self._step = 0
        self._candidates = []

    def _follow(self, path: list[int]) -> list[Change]:
        """Match the candidates with the path as it is now; those long away are dropped."""
        unmatched = [step for step in path if step > self._step - self._lookback_steps]
        gone = []
        for candidate in self._candidates:
            near = min(unmatched, key=lambda step: abs(step - candidate.step), default=None)
            if near is not None and abs(near - candidate.step) <= _SAME_STEPS:
                candidate.step, candidate.away = near, 0
                unmatched.remove(near)
            else:
                candidate.away += 1
                if candidate.away >= _GRACE_STEPS:
                    gone.append(candidate)
        self._candidates = [candidate for candidate in self._candidates if candidate not in gone]
        self._candidates += [_Candidate(step, self._step) for step in unmatched]
        self._candidates.sort(key=lambda candidate: candidate.step)
        return [self._change("retracted", candidate) for candidate in gone if candidate.number]

    def _decide(self) -> list[Change]:
        changes: list[Change] = []
        while self._candidates:
            oldest = self._candidates[0]
            if oldest.away or self._age(oldest) < self._confirm_steps:
                break
            self._name(oldest)
            changes.append(self._change("confirmed", oldest))
            self._partition.cut(oldest.step)
            self._candidates = self._candidates[1:]
        for candidate in self._candidates:
            if candidate.number == 0 and not candidate.away and self._age(candidate) >= self._provisional_steps:
                self._name(candidate)
                changes.append(self._change("provisional", candidate))
        return changes

    def _age(self, candidate: _Candidate) -> int:
        return self._step - candidate.since

    def _name(self, candidate: _Candidate) -> None:
        if candidate.number == 0:
            self._said += 1
            candidate.number = self._said

    def _change(self, state: State, candidate: _Candidate) -> Change:
        return Change(
            state=state,
            number=candidate.number,
            step=candidate.step,
            score=self._partition.gain(candidate.step),
            stability=min(1.0, self._age(candidate) / self._confirm_steps),
        )
