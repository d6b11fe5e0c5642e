"""Matches a section with labels by comparing it as a whole with the stored sections of each label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.labels.clusterer import NEW_LABEL, SectionClusterer
from streamseg.engine.labels.descriptor import SectionDescriptor, descriptor_from_bytes
from streamseg.engine.labels.store import DescriptorStore
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds

_MAX_NAMED_SECTIONS = 256  # the latest named sections of earlier runs
_MERGE_LOG_ODDS = 2.0  # log-odds from which two labels are merged


class SectionMatcher:
    """Matches a section with labels: compares it with stored sections of this run and named ones of earlier runs."""

    def __init__(self, model: LabelModel, capacity: int, named_sounds: NamedSounds) -> None:
        """capacity: maximum of stored sections, named ones not counted.

        named_sounds: the sections among them get labels with names; those that cannot be decoded are skipped.
        """
        named_sections = named_sounds.of_kind("section")[-_MAX_NAMED_SECTIONS:]
        self._store = DescriptorStore(model, capacity + len(named_sections))
        self._clusterer = SectionClusterer(capacity=capacity, similarity=self._store)
        self._latest_slots: dict[int, int] = {}  # of labels seen in this run: slot of their latest section
        self.names: dict[int, str] = {}
        label_of_name: dict[str, int] = {}
        for entry in named_sections:
            try:
                descriptor = descriptor_from_bytes(entry.content)
            except ValueError:
                continue
            # Numbers below NEW_LABEL, so that labels of this run are counted from 0.
            label = label_of_name.setdefault(entry.name, NEW_LABEL - 1 - len(label_of_name))
            self._clusterer.store_section(descriptor, label, is_pinned=True)
            self.names[label] = entry.name

    @property
    def labels(self) -> set[int]:
        """The label numbers of the stored sections."""
        return self._clusterer.labels

    def assign_cluster(self, vector: NDArray[np.float64]) -> int | None:
        """Do nothing and return None: this matcher compares whole sections and has no clusters of vectors."""
        del vector
        return None

    def can_label(self, descriptor: SectionDescriptor) -> bool:
        """Return True: this matcher can choose a label for any section."""
        del descriptor
        return True

    def label_log_odds(self, descriptor: SectionDescriptor) -> dict[int, float]:
        """Return {label: log-odds that the section has this label}, the mean over the stored sections of that label.

        Very unlikely labels are left out.
        """
        return self._clusterer.label_log_odds(descriptor)

    def store_section(self, descriptor: SectionDescriptor, label_or_new: int) -> int:
        """Store a section under `label_or_new`, or under a new label if that is NEW_LABEL; return the label number."""
        label = self._clusterer.create_label() if label_or_new == NEW_LABEL else label_or_new
        self._latest_slots[label] = self._clusterer.store_section(descriptor, label)
        stored_labels = self.labels
        self._latest_slots = {label: slot for label, slot in self._latest_slots.items() if label in stored_labels}
        return label

    def merge_if_duplicate(self, label: int, prior_log_odds: Callable[[int], float]) -> int | None:
        """Merge `label` into the label most likely to mean the same sound; return that label, None if none is likely.

        Only labels of this run count. A label is likely when the log-odds that both are the same are at least
        _MERGE_LOG_ODDS.
        prior_log_odds: returns the log-odds to add for another label, given its number.
        """
        log_odds = {
            other: value + prior_log_odds(other)
            for other, value in self._clusterer.log_odds_between_labels(label).items()
            if other in self._latest_slots
        }
        original_label = max(log_odds, key=log_odds.__getitem__, default=None)
        if original_label is None or log_odds[original_label] < _MERGE_LOG_ODDS:
            return None
        self._clusterer.merge_labels(label, original_label)
        self._latest_slots[original_label] = self._latest_slots.pop(label)
        return original_label

    def descriptor_of_label(self, label: int) -> SectionDescriptor | None:
        """Return the descriptor of the latest section that got `label` in this run; None if no section did.

        If another section has replaced the latest one, it is that of another section of the label.
        """
        if label not in self._latest_slots:
            return None
        slots, latest = self._clusterer.slots_of_label(label), self._latest_slots[label]
        return self._store.descriptor_at(latest if latest in slots else slots[0])
