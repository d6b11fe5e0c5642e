"""Stores section descriptors and computes the log-odds that a section is the same as each of them.

All arrays are allocated at the start, so memory does not grow. Only the `MAX_COMPARISONS` descriptors with the nearest
centroids are compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STANDARDISED_DIMS, VECTOR_DIMS
from streamseg.engine.labels.descriptor import (
    MAX_WINDOWS,
    PROGRESSION_STEPS,
    WINDOW_STEPS,
    SectionDescriptor,
    restore_descriptor,
)
from streamseg.engine.labels.section_similarity import (
    PreparedDescriptor,
    compute_comparison_features,
    prepare_descriptor,
)
from streamseg.engine.models.weights import LabelModel

MAX_COMPARISONS = 8

Halves = NDArray[np.float16]


class DescriptorStore:
    """Stores section descriptors in numbered slots and computes the log-odds that two sections are the same.

    A `SimilarityIndex`.
    """

    def __init__(self, model: LabelModel, capacity: int) -> None:
        """capacity: number of slots."""
        dims = model.projection.shape[1]
        self._model = model
        self._size = np.zeros((capacity, 3), np.int64)  # vectors, windows, steps of the chroma progression
        self._projected_windows: Halves = np.zeros((capacity, MAX_WINDOWS, dims), np.float16)
        self._codebook_distance: Halves = np.zeros((capacity, MAX_WINDOWS), np.float16)
        self._centroid = np.zeros((capacity, dims), np.float32)
        self._mean = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._std = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._chroma = np.zeros((capacity, 12), np.float32)
        self._progression: Halves = np.zeros((capacity, PROGRESSION_STEPS, 12), np.float16)
        self._window_means: Halves = np.zeros((capacity, MAX_WINDOWS, STANDARDISED_DIMS), np.float16)  # not projected

    def store(self, slot: int, x: SectionDescriptor) -> None:
        """Store the descriptor x in the slot with this number, in place of the descriptor stored there, if any."""
        arrays = prepare_descriptor(x, self._model)
        self._size[slot] = arrays.size
        self._projected_windows[slot] = arrays.windows
        self._codebook_distance[slot] = arrays.codebook_distance
        self._centroid[slot], self._mean[slot], self._std[slot] = arrays.centroid, arrays.mean, arrays.std
        self._chroma[slot], self._progression[slot] = arrays.chroma, arrays.chroma_progression
        self._window_means[slot] = x.window_means

    def log_odds(self, x: SectionDescriptor, slots: list[int]) -> dict[int, float]:
        """Return {slot: log-odds that x and the section in the slot are the same}, for the 8 most similar of `slots`.

        Only the MAX_COMPARISONS of the slots with the nearest centroids are compared.
        """
        return self._log_odds(prepare_descriptor(x, self._model), slots)

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """Return {other: log-odds that `slot` and `other` hold the same section}, for the 8 most similar of `slots`.

        Only the MAX_COMPARISONS of `slots` with the nearest centroids are compared.
        """
        return self._log_odds(self._prepared_at(slot), slots)

    def descriptor_at(self, slot: int) -> SectionDescriptor:
        """Return the section descriptor stored in a slot; some of its numbers are rounded to float16."""
        n_vectors, n_windows, steps = (int(n) for n in self._size[slot])
        if n_vectors < WINDOW_STEPS * n_windows:  # a section shorter than a window was compared by its mean
            n_windows = 0
        return restore_descriptor(
            n_vectors,
            self._mean[slot],
            self._std[slot],
            self._window_means[slot, :n_windows],
            self._progression[slot, :steps],
        )

    def _prepared_at(self, slot: int) -> PreparedDescriptor:
        return PreparedDescriptor(
            self._size[slot],
            self._projected_windows[slot].astype(np.float32),
            self._codebook_distance[slot].astype(np.float32),
            self._centroid[slot],
            self._mean[slot],
            self._std[slot],
            self._chroma[slot],
            self._progression[slot].astype(np.float32),
        )

    def _log_odds(self, section: PreparedDescriptor, slots: list[int]) -> dict[int, float]:
        if not slots:
            return {}
        distances = ((self._centroid[slots] - section.centroid) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:MAX_COMPARISONS]
        model = self._model
        return {
            slots[i]: float(
                (compute_comparison_features(section, self._prepared_at(slots[i])) - model.mean)
                / model.std
                @ model.weights
                + model.bias
            )
            for i in nearest
        }
