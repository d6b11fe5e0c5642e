"""Roles: which part of a song a section seems to be, as a guess with a probability.

Nobody is asked what a verse is: sections are taken for what they mostly are, by how often their label was heard
before, by how loud they are beside the ones before them, and by where in the song they lie. A multinomial logistic
regression (`models/roles.npz`) turns eleven numbers into probabilities.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import LEVEL
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.models.loader import load_arrays

Floats = NDArray[np.float64]

ROLES: Final = ("intro", "verse-like", "chorus-like", "bridge-like", "outro")
N_ROLE_FEATURES: Final = 11
_WEIGHTS: Final = load_arrays("roles")
_MAX_SONG_S: Final = 360.0  # what goes on for longer is no song; nothing like it was trained on, and nothing is said


class RoleClassifier:
    """Closed sections in, in order; probabilities of their roles out."""

    def __init__(self) -> None:
        self.start_song()

    def start_song(self) -> None:
        """A song begins."""
        self._label_counts: dict[str, int] = {}  # how often each label was
        self._levels: list[float] = []
        self._start: float | None = None

    def classify_section(self, descriptor: SectionDescriptor, label: str, start: float, end: float) -> dict[str, float]:
        """The probability of each role for a section, start and end in stream seconds; none where it is no song."""
        if self._start is not None and start - self._start > _MAX_SONG_S:
            return {}
        numbers = self.describe_section(descriptor, label, start, end)
        odds = (numbers - _WEIGHTS["mean"]) / _WEIGHTS["std"] @ _WEIGHTS["weights"] + _WEIGHTS["bias"]
        likely = np.exp(odds - odds.max())
        return {role: float(chance) for role, chance in zip(ROLES, likely / likely.sum(), strict=True)}

    def merge_labels(self, label: str, into: str) -> None:
        """A label turned out to be another one."""
        self._label_counts[into] = self._label_counts.get(into, 0) + self._label_counts.pop(label, 0)

    def describe_section(self, descriptor: SectionDescriptor, label: str, start: float, end: float) -> Floats:
        """What is looked at, shape (NUMBERS,); the section is remembered."""
        before, level = self._levels, float(descriptor.mean[LEVEL][0])
        self._start = start if self._start is None else self._start
        times = self._label_counts.get(label, 0)
        numbers = np.array([
            len(before) == 0,
            len(before) == 1,
            len(before),
            start - self._start,
            end - start,
            times,
            times > 0,
            len(self._label_counts),
            level - float(np.mean(before)) if before else 0.0,
            level,
            0 < times == max(self._label_counts.values(), default=0),
        ], dtype=np.float64)  # fmt: skip
        self._label_counts[label] = times + 1
        before.append(level)
        return numbers
