"""Matches sections with labels by votes: river assigns texture vectors to clusters, and the clusters are the labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STANDARDISED_DIMS
from streamseg.engine.labels.clusterer import NEW_LABEL
from streamseg.engine.labels.descriptor import WINDOW_STEPS, SectionDescriptor
from streamseg.engine.labels.river_clusterers import NOISE_CLUSTER, StableClusterer
from streamseg.engine.models.weights import LabelModel

_RADIUS = 1.0  # of a cluster: RMS over the projected dimensions, in standard deviations within a section
_MAX_LABELS = 64  # the least recently stored is forgotten
_MAJORITY_LOG_ODDS = 8.0  # of the label that most vectors of a section belong to


class RiverMatcher:
    """Matches a section with labels by the most frequent cluster of its texture vectors; labels are cluster numbers.

    When the most frequent cluster of a section is not a label yet, a new label is likelier than all others. Clusters do
    not outlast a run, so there are no names of earlier runs. No descriptors are stored.
    """

    def __init__(self, clusterer_name: str, model: LabelModel) -> None:
        """clusterer_name: a key of `CLUSTERER_FACTORIES`. model: its projection is applied to the vectors."""
        self.names: dict[int, str] = {}
        self._projection = model.projection
        self._clusters = StableClusterer(clusterer_name, _RADIUS)
        self._window_sum, self._window_count = np.zeros(STANDARDISED_DIMS), 0
        self._cluster: int | None = None
        self._labels: list[int] = []  # in the order of the latest section of each

    @property
    def labels(self) -> set[int]:
        """The label numbers of the sections stored so far."""
        return set(self._labels)

    def assign_cluster(self, vector: NDArray[np.float64]) -> int | None:
        """Learn from the next texture vector; return the cluster of the last window (2 s), None without clusters.

        vector: shape (VECTOR_DIMS,). The last window: the latest complete group of WINDOW_STEPS vectors.
        """
        self._window_sum += vector[:STANDARDISED_DIMS]
        self._window_count += 1
        if self._window_count == WINDOW_STEPS:
            self._cluster = self._clusters.push(self._window_sum / WINDOW_STEPS @ self._projection)
            self._window_sum[:], self._window_count = 0.0, 0
        return self._cluster

    def can_label(self, descriptor: SectionDescriptor) -> bool:
        """Return whether the most frequent cluster of the section's vectors is a real cluster, not noise."""
        return self._majority_cluster(descriptor) != NOISE_CLUSTER

    def label_log_odds(self, descriptor: SectionDescriptor) -> dict[int, float]:
        """Return {label: log-odds that the section has this label}, for labels that are clusters of its vectors."""
        votes = {cluster: n for cluster, n in descriptor.cluster_votes.items() if cluster != NOISE_CLUSTER}
        most = max(votes.values(), default=0)
        penalty = 0.0 if self._majority_cluster(descriptor) in self._labels else 2 * _MAJORITY_LOG_ODDS
        return {
            label: float(np.log((votes[label] + 0.1) / (most + 0.1))) + _MAJORITY_LOG_ODDS - penalty
            for label in self._labels
            if label in votes
        }

    def store_section(self, descriptor: SectionDescriptor, label_or_new: int) -> int:
        """Store that a section has `label_or_new`, or for NEW_LABEL its most frequent cluster; return this label."""
        label = self._majority_cluster(descriptor) if label_or_new == NEW_LABEL else label_or_new
        self._labels = [*(other for other in self._labels if other != label), label][-_MAX_LABELS:]
        return label

    def merge_if_duplicate(self, label: int, prior_log_odds: Callable[[int], float]) -> int | None:
        """Do nothing and return None, because river's clusterer merges its clusters itself."""
        del label, prior_log_odds
        return None

    def descriptor_of_label(self, label: int) -> SectionDescriptor | None:
        """Return None: this matcher stores no descriptors."""
        del label
        return None

    def _majority_cluster(self, descriptor: SectionDescriptor) -> int:
        """The cluster of most vectors; NOISE_CLUSTER when there is none."""
        return max(descriptor.cluster_votes, key=descriptor.cluster_votes.__getitem__, default=NOISE_CLUSTER)
