"""Labels: what a section is called, the same whenever it comes back.

The clusterer gives numbers; here a number becomes a label that keeps its meaning (A, B, C …) and remembers when
it was last heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.clustering import SectionClusterer
from streamseg.settings import Settings


@dataclass(frozen=True, slots=True)
class Guess:
    """What a section seems to be. last_seen: stream seconds at which it ended the last time, None when new."""

    label: str
    probabilities: dict[str, float]
    last_seen: float | None

    @property
    def seen_before(self) -> bool:
        """Whether a section of this label was heard before."""
        return self.last_seen is not None


class Labels:
    """Section vectors in, labels out."""

    def __init__(self, settings: Settings) -> None:
        self._clusterer = SectionClusterer(distance=settings.label_distance, capacity=settings.labels_max)
        self._last_seen: dict[int, float] = {}
        self._sharpness = 4.0 / settings.label_distance
        self._next_new = 0

    def guess(self, vector: NDArray[np.float64]) -> Guess:
        """What the section with this mean texture is, without learning from it."""
        x = dict(enumerate(vector.tolist()))
        distances = self._clusterer.distances(x)
        number = self._clusterer.predict_one(x)
        if number < 0:
            number = self._next_new
            distances[number] = self._clusterer.distance
        shown = sorted(distances, key=distances.__getitem__)[:5]
        weights = np.exp(-self._sharpness * (np.array([distances[n] for n in shown]) - distances[shown[0]]))
        weights /= weights.sum()
        probabilities = {letters(n): round(float(w), 3) for n, w in zip(shown, weights, strict=True)}
        return Guess(letters(number), probabilities, self._last_seen.get(number))

    def learn(self, vector: NDArray[np.float64], duration_s: float, end: float) -> Guess:
        """Remember a whole section; returns what it is called from now on."""
        guess = self.guess(vector)
        x = dict(enumerate(vector.tolist()))
        before = self._clusterer.predict_one(x)
        self._clusterer.learn_one(x, w=max(duration_s, 1e-3))
        number = before if before >= 0 else self._next_new
        if before < 0:
            self._next_new += 1
        self._last_seen[number] = end
        self._last_seen = {n: t for n, t in self._last_seen.items() if n in self._clusterer.distances(x)}
        return guess


def letters(number: int) -> str:
    """A, B … Z, AA, AB …: the columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
