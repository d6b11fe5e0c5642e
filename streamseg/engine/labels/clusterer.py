"""A clusterer of whole sections with the interface of river's `base.Clusterer`.

Average-link leader clustering: a section gets the label whose stored sections have the highest mean log-odds of being
the same as it, if they are above 0; else a new label. Labels are never renumbered. The log-odds come from a
`SimilarityIndex`: `EuclideanIndex` for plain vectors, `DescriptorStore` for section descriptors.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from river import base

Floats = NDArray[np.float64]

NEW_LABEL = -1
MAX_SECTIONS_PER_LABEL = 4  # stored, pinned ones not counted


class SimilarityIndex(Protocol):
    """Interface of a store: keeps items in numbered slots and computes the log-odds that two items are the same."""

    def store(self, slot: int, x: Any) -> None:
        """Store the item x in the slot with this number, in place of the item stored there before, if any."""

    def log_odds(self, x: Any, slots: list[int]) -> dict[int, float]:
        """Return {slot: log-odds that x and the item in the slot are the same}; very unlikely slots may be left out."""

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """Return {other: log-odds that the items in `slot` and `other` are the same} for each `other` in `slots`.

        Very unlikely slots may be left out.
        """


class EuclideanIndex:
    """Stores vectors in numbered slots and computes, from their distance, the log-odds that two are the same.

    A vector is a dict {dimension: number}, as in river. The distance is the RMS difference; the
    log-odds fall linearly from 4 at distance 0 to 0 at `radius`. The keys of the first vector are the dimensions: other
    keys are ignored, missing ones are 0.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius
        self._keys: list[Any] = []
        self._vectors: dict[int, Floats] = {}

    def store(self, slot: int, x: dict[Any, float]) -> None:
        """Store the vector x in the slot with this number, in place of the vector stored there before, if any."""
        self._vectors[slot] = self._vector_of(x)

    def log_odds(self, x: dict[Any, float], slots: list[int]) -> dict[int, float]:
        """Return {slot: log-odds that x and the vector in that slot are the same}, for all `slots`."""
        vector = self._vector_of(x)
        return {slot: self._log_odds(self._vectors[slot], vector) for slot in slots}

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """Return {other: log-odds that the vectors in `slot` and `other` are the same} for each `other` in `slots`."""
        return {other: self._log_odds(self._vectors[other], self._vectors[slot]) for other in slots}

    def _log_odds(self, one: Floats, other: Floats) -> float:
        distance = np.sqrt(np.mean((one - other) ** 2)) if len(one) else 0.0
        return float(4.0 - 4.0 * distance / self.radius)

    def _vector_of(self, x: dict[Any, float]) -> Floats:
        if not self._keys:
            self._keys = list(x)
        return np.array([x.get(key, 0.0) for key in self._keys], dtype=np.float64)


class SectionClusterer(base.Clusterer):
    """Assigns label numbers to sections: a section that sounds like an earlier one gets the same number.

    radius: of the default `EuclideanIndex`.
    capacity: maximum of stored sections, pinned ones not counted; beyond it the least recently used is replaced.
    similarity: compares sections; `EuclideanIndex(radius)` by default.

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
        """The label numbers of all stored sections."""
        return set(self._labels.values())

    @property
    def n_clusters(self) -> int:
        """The number of labels that have stored sections."""
        return len(self.labels)

    def learn_one(self, x: Any, w: float = 1.0) -> None:
        """Store section x under its likeliest label, or under a new label if no label has log-odds above 0.

        w has no effect: long and short sections count the same.
        """
        del w
        label = self.predict_one(x)
        self.store_section(x, self.create_label() if label == NEW_LABEL else label)

    def predict_one(self, x: Any) -> int:
        """Return the likeliest label of section x; NEW_LABEL (-1) when the log-odds are 0 or less for every label."""
        odds = self.label_log_odds(x)
        best = max(odds, key=odds.__getitem__, default=NEW_LABEL)
        return best if best != NEW_LABEL and odds[best] > 0.0 else NEW_LABEL

    def label_log_odds(self, x: Any) -> dict[int, float]:
        """Return {label: log-odds that section x has this label}, the mean over the stored sections of that label.

        Sections that the index leaves out do not count; a label is missing if all of its sections are left out.
        """
        return self._mean_by_label(self._similarity.log_odds(x, list(self._labels)))

    def create_label(self) -> int:
        """Return an unused label number; `store_section` then stores sections under it."""
        self._labels_created += 1
        return self._labels_created - 1

    def store_section(self, x: Any, label: int, *, is_pinned: bool = False) -> int:
        """Store section x under a label; return its slot. If the store or the label is full, replace an old section.

        is_pinned: whether the section is never replaced.
        """
        slots = self.slots_of_label(label)
        replaceable = [slot for slot in self._labels if slot not in self._pinned_slots]
        replaceable_of_label = [slot for slot in slots if slot not in self._pinned_slots]
        if len(replaceable_of_label) >= MAX_SECTIONS_PER_LABEL and not is_pinned:
            slot = replaceable_of_label[0]
        elif len(replaceable) >= self.capacity:
            slot = replaceable[0]
        else:
            slot = len(self._labels)  # all lower slots are in use
        self._labels.pop(slot, None)
        self._labels[slot] = label
        if is_pinned:
            self._pinned_slots.add(slot)
        for other in slots:  # storing a section counts as a use of all sections of its label
            if other != slot and other in self._labels:
                self._labels[other] = self._labels.pop(other)
        self._similarity.store(slot, x)
        return slot

    def merge_labels(self, label: int, into: int) -> None:
        """Move all stored sections of `label` to the label `into`."""
        for slot, other in self._labels.items():
            if other == label:
                self._labels[slot] = into

    def slots_of_label(self, label: int) -> list[int]:
        """Return the numbers of the slots that hold sections of a label, in the order in which they are replaced."""
        return [slot for slot, other in self._labels.items() if other == label]

    def log_odds_between_labels(self, label: int) -> dict[int, float]:
        """Return {other: log-odds that `label` and `other` are the same sound}, for the other labels.

        The log-odds are the mean over their stored sections. A label is missing if the index left out all of its
        sections for any section of `label`.
        """
        slots = self.slots_of_label(label)
        others = [slot for slot, other in self._labels.items() if other != label]
        sums: dict[int, list[float]] = {}
        for slot in slots:
            for other, value in self._mean_by_label(self._similarity.log_odds_between_slots(slot, others)).items():
                sums.setdefault(other, []).append(value)
        return {other: float(np.mean(values)) for other, values in sums.items() if len(values) == len(slots)}

    def _mean_by_label(self, odds: dict[int, float]) -> dict[int, float]:
        sums: dict[int, list[float]] = {}
        for slot, value in odds.items():
            sums.setdefault(self._labels[slot], []).append(value)
        return {label: float(np.mean(values)) for label, values in sums.items()}
