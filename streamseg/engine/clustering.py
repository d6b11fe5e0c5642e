"""A clusterer of whole sections, after river's `base.Clusterer`.

Leader clustering with running means: a section joins the nearest prototype within `distance`, else it founds a
new one. Prototypes are never renumbered; the least recently used is forgotten at `capacity`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base


class SectionClusterer(base.Clusterer):
    """Numbers that come back when the section comes back.

    distance: root mean square over dimensions at which two sections are no longer the same.
    capacity: prototypes remembered.

    >>> clusterer = SectionClusterer(distance=0.5)
    >>> for x in ({0: 0.0, 1: 0.0}, {0: 2.0, 1: 2.0}, {0: 0.1, 1: 0.0}):
    ...     clusterer.learn_one(x)
    >>> [clusterer.predict_one(x) for x in ({0: 0.0, 1: 0.1}, {0: 2.1, 1: 2.0}, {0: -9.0, 1: 9.0})]
    [0, 1, -1]
    """

    def __init__(self, distance: float = 0.5, capacity: int = 64) -> None:
        self.distance = distance
        self.capacity = capacity
        self._centres: dict[int, NDArray[np.float64]] = {}
        self._weights: dict[int, float] = {}
        self._keys: list[Any] = []
        self._founded = 0

    @property
    def n_clusters(self) -> int:
        """How many prototypes are remembered."""
        return len(self._centres)

    def learn_one(self, x: dict[Any, float], w: float = 1.0) -> None:
        """Take a whole section's mean texture; w: its weight (seconds)."""
        vector = self._vector(x)
        found = self.predict_one(x)
        if found < 0:
            found = self._founded
            self._founded += 1
            self._centres[found] = vector
            self._weights[found] = 0.0
            if len(self._centres) > self.capacity:
                oldest = next(iter(self._centres))
                del self._centres[oldest], self._weights[oldest]
        weight = self._weights.pop(found) + w
        centre = self._centres.pop(found)
        # Put back last: the dict's order is the order of use.
        self._centres[found] = centre + (vector - centre) * (w / weight)
        self._weights[found] = weight

    def predict_one(self, x: dict[Any, float]) -> int:
        """The number of the nearest prototype, or -1 when none is near enough."""
        distances = self.distances(x)
        nearest = min(distances, key=distances.__getitem__, default=-1)
        return nearest if nearest >= 0 and distances[nearest] <= self.distance else -1

    def distances(self, x: dict[Any, float]) -> dict[int, float]:
        """Root mean square distance to every prototype."""
        vector = self._vector(x)
        return {number: float(np.sqrt(np.mean((centre - vector) ** 2))) for number, centre in self._centres.items()}

    def _vector(self, x: dict[Any, float]) -> NDArray[np.float64]:
        """The features in one fixed order; a feature never seen at the start is ignored, a missing one is 0."""
        if not self._keys:
            self._keys = list(x)
        return np.array([x.get(key, 0.0) for key in self._keys])
