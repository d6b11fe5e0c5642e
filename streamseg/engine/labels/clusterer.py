"""A clusterer of whole sections, after river's `base.Clusterer`.

Average-link leader clustering: a section joins the label to whose remembered sections it bears the most likeness,
on average, if that speaks for their being the same at all; else it founds a new label. Labels are never renumbered.
What likeness is, is another's business: plain vectors have `EuclideanIndex`, portraits of sections `DescriptorStore`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from river import base

Floats = NDArray[np.float64]

NEW_LABEL = -1
MAX_SECTIONS_PER_LABEL = 4  # sections remembered of one label


class SimilarityIndex(Protocol):
    """Remembers things in numbered slots, and compares."""

    def store(self, slot: int, x: Any) -> None:
        """Remember x in this slot, in place of what was there."""

    def log_odds(self, x: Any, slots: list[int]) -> dict[int, float]:
        """Log-odds that x and what is in each slot are the same; slots that are out of the question may be left out."""

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """The same of what is in a slot against what is in others."""


class EuclideanIndex:
    """Likeness of plain vectors, river's dicts of numbers: Euclidean, and as good as even at `radius`."""

    def __init__(self, radius: float) -> None:
        self.radius = radius
        self._keys: list[Any] = []
        self._vectors: dict[int, Floats] = {}

    def store(self, slot: int, x: dict[Any, float]) -> None:
        """Remember a vector."""
        self._vectors[slot] = self._vector_of(x)

    def log_odds(self, x: dict[Any, float], slots: list[int]) -> dict[int, float]:
        """Log-odds, 4 where they are equal, 0 at `radius`."""
        vector = self._vector_of(x)
        return {slot: self._log_odds(self._vectors[slot], vector) for slot in slots}

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """The same between slots."""
        return {other: self._log_odds(self._vectors[other], self._vectors[slot]) for other in slots}

    def _log_odds(self, one: Floats, other: Floats) -> float:
        distance = np.sqrt(np.mean((one - other) ** 2)) if len(one) else 0.0
        return float(4.0 - 4.0 * distance / self.radius)

    def _vector_of(self, x: dict[Any, float]) -> Floats:
        """The features in one fixed order; a feature never seen at the start is ignored, a missing one is 0."""
        if not self._keys:
            self._keys = list(x)
        return np.array([x.get(key, 0.0) for key in self._keys], dtype=np.float64)


class SectionClusterer(base.Clusterer):
    """Numbers that come back when the section comes back.

    likeness: what tells sections apart; `EuclideanIndex(radius)` when left out.
    capacity: sections remembered; the least recently used is forgotten.

    >>> clusterer = SectionClusterer(radius=0.5)
    >>> for x in ({0: 0.0, 1: 0.0}, {0: 2.0, 1: 2.0}, {0: 0.1, 1: 0.0}):
    ...     clusterer.learn_one(x)
    >>> [clusterer.predict_one(x) for x in ({0: 0.0, 1: 0.1}, {0: 2.1, 1: 2.0}, {0: -9.0, 1: 9.0})]
    [0, 1, -1]
    """

    def __init__(self, radius: float = 0.5, capacity: int = 64, similarity: SimilarityIndex | None = None) -> None:
        self.radius = radius
        self.capacity = capacity
        self.similarity = similarity
        self._similarity = similarity if similarity is not None else EuclideanIndex(radius)
        self._labels: dict[int, int] = {}  # slot: label; the order is the order of use
        self._pinned_slots: set[int] = set()
        self._labels_created = 0

    @property
    def labels(self) -> set[int]:
        """Every label of which something is remembered."""
        return set(self._labels.values())

    @property
    def n_clusters(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    def learn_one(self, x: Any, w: float = 1.0) -> None:
        """Take a whole section. w has no effect: a long section is not truer than a short one."""
        del w
        label = self.predict_one(x)
        self.store_section(x, self.create_label() if label == NEW_LABEL else label)

    def predict_one(self, x: Any) -> int:
        """The label of x, or NEW when it bears no likeness to any."""
        odds = self.label_log_odds(x)
        best = max(odds, key=odds.__getitem__, default=NEW_LABEL)
        return best if best != NEW_LABEL and odds[best] > 0.0 else NEW_LABEL

    def label_log_odds(self, x: Any) -> dict[int, float]:
        """Mean log-odds over what is remembered of each label."""
        return self._mean_by_label(self._similarity.log_odds(x, list(self._labels)))

    def create_label(self) -> int:
        """A number that no label has had."""
        self._labels_created += 1
        return self._labels_created - 1

    def store_section(self, x: Any, label: int, *, pinned: bool = False) -> int:
        """Remember x as one of a label. pinned: for ever. Returns its slot."""
        mine = self.slots_of_label(label)
        loose = [slot for slot in self._labels if slot not in self._pinned_slots]
        old = [slot for slot in mine if slot not in self._pinned_slots]
        if len(old) >= MAX_SECTIONS_PER_LABEL and not pinned:
            slot = old[0]
        elif len(loose) >= self.capacity:
            slot = loose[0]
        else:
            slot = len(self._labels)  # slots are numbered without holes
        self._labels.pop(slot, None)
        self._labels[slot] = label
        if pinned:
            self._pinned_slots.add(slot)
        for other in mine:  # used together
            if other != slot and other in self._labels:
                self._labels[other] = self._labels.pop(other)
        self._similarity.store(slot, x)
        return slot

    def merge_labels(self, label: int, into: int) -> None:
        """Two labels turned out to be one."""
        for slot, other in self._labels.items():
            if other == label:
                self._labels[slot] = into

    def slots_of_label(self, label: int) -> list[int]:
        """The slots of the stored sections of a label, in the order in which they are replaced."""
        return [slot for slot, other in self._labels.items() if other == label]

    def label_to_label_log_odds(self, label: int) -> dict[int, float]:
        """Mean log-odds between all that is remembered of a label and each other label."""
        mine = self.slots_of_label(label)
        others = [slot for slot, other in self._labels.items() if other != label]
        sums: dict[int, list[float]] = {}
        for slot in mine:
            for other, value in self._mean_by_label(self._similarity.log_odds_between_slots(slot, others)).items():
                sums.setdefault(other, []).append(value)
        return {other: float(np.mean(values)) for other, values in sums.items() if len(values) == len(mine)}

    def _mean_by_label(self, odds: dict[int, float]) -> dict[int, float]:
        sums: dict[int, list[float]] = {}
        for slot, value in odds.items():
            sums.setdefault(self._labels[slot], []).append(value)
        return {label: float(np.mean(values)) for label, values in sums.items()}
