"""Roles: which part of a song a section seems to be, as a guess with a probability.

Nobody is asked what a verse is: sections are taken for what they mostly are, by how often their label was heard
before, by how loud they are beside the ones before them, and by where in the song they lie. A multinomial logistic
regression (`models/roles.py`) turns eleven numbers into probabilities.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.models import roles as trained
from streamseg.engine.portrait import Portrait
from streamseg.engine.texture import LEVEL

Floats = NDArray[np.float64]

ROLES: Final = ("intro", "verse-like", "chorus-like", "bridge-like", "outro")
NUMBERS: Final = 11
_MOST: Final = 64  # sections; what has more is no song, and another one is taken to begin


class Roles:
    """Closed sections in, in order; probabilities of their roles out."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A song begins."""
        self._heard: dict[str, int] = {}  # how often each label was
        self._levels: list[float] = []
        self._start: float | None = None

    def push(self, portrait: Portrait, label: str, start: float, end: float) -> dict[str, float]:
        """The probability of each role for a section, start and end in stream seconds."""
        numbers = self.describe(portrait, label, start, end)
        odds = (numbers - trained.MEAN) / trained.DEVIATION @ trained.WEIGHTS + trained.BIAS
        likely = np.exp(odds - odds.max())
        return {role: float(chance) for role, chance in zip(ROLES, likely / likely.sum(), strict=True)}

    def describe(self, portrait: Portrait, label: str, start: float, end: float) -> Floats:
        """What is looked at, shape (NUMBERS,); the section is remembered."""
        if len(self._levels) == _MOST:
            self.begin()
        before, level = self._levels, float(portrait.mean[LEVEL][0])
        self._start = start if self._start is None else self._start
        times = self._heard.get(label, 0)
        numbers = np.array([
            len(before) == 0,
            len(before) == 1,
            len(before),
            start - self._start,
            end - start,
            times,
            times > 0,
            len(self._heard),
            level - float(np.mean(before)) if before else 0.0,
            level,
            0 < times == max(self._heard.values(), default=0),
        ], dtype=np.float64)  # fmt: skip
        self._heard[label] = times + 1
        before.append(level)
        return numbers
