"""What is remembered of sections, and how much a section resembles each of them.

Everything lies in arrays made at the start, so memory is the same after ten hours as after ten minutes. Only the
few that look most alike at first sight are compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STANDARDISED_DIMS, VECTOR_DIMS
from streamseg.engine.labels.descriptor import MAX_WINDOWS, PROGRESSION_STEPS, SectionDescriptor, restore_descriptor
from streamseg.engine.labels.similarity import PreparedDescriptor, compare_descriptors, prepare_descriptor
from streamseg.engine.models.weights import LabelModel

MAX_COMPARISONS = 8  # at most, of all that is remembered

Halves = NDArray[np.float16]


class DescriptorStore:
    """Portraits in numbered slots; a `SimilarityIndex` for `SectionClusterer`."""

    def __init__(self, model: LabelModel, capacity: int) -> None:
        """capacity: slots."""
        dims = model.projection.shape[1]
        self._model = model
        self._size = np.zeros((capacity, 3), np.int64)  # vectors, blocks, steps of progression
        self._projected_windows: Halves = np.zeros((capacity, MAX_WINDOWS, dims), np.float16)
        self._codebook_distance: Halves = np.zeros((capacity, MAX_WINDOWS), np.float16)
        self._centroid = np.zeros((capacity, dims), np.float32)
        self._mean = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._std = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._chroma = np.zeros((capacity, 12), np.float32)
        self._progression: Halves = np.zeros((capacity, PROGRESSION_STEPS, 12), np.float16)
        self._window_means: Halves = np.zeros(
            (capacity, MAX_WINDOWS, STANDARDISED_DIMS), np.float16
        )  # before any projection

    def store(self, slot: int, x: SectionDescriptor) -> None:
        """Remember a portrait in this slot."""
        made = prepare_descriptor(x, self._model)
        self._size[slot], self._projected_windows[slot], self._codebook_distance[slot] = (
            made.size,
            made.windows,
            made.codebook_distance,
        )
        self._centroid[slot], self._mean[slot], self._std[slot] = made.centroid, made.mean, made.std
        self._chroma[slot], self._progression[slot] = made.chroma, made.progression
        self._window_means[slot] = x.window_means

    def log_odds(self, x: SectionDescriptor, slots: list[int]) -> dict[int, float]:
        """Log-odds that the section is the same as each of those that look most like it."""
        return self._log_odds(prepare_descriptor(x, self._model), slots)

    def log_odds_between_slots(self, slot: int, slots: list[int]) -> dict[int, float]:
        """The same of one that is remembered."""
        return self._log_odds(self._prepared_at(slot), slots)

    def descriptor_at(self, slot: int) -> SectionDescriptor:
        """What was kept, to the precision it was kept with."""
        count, kept, steps = (int(n) for n in self._size[slot])
        whole = kept if count >= kept * 4 else 0  # a section shorter than a block has none
        return restore_descriptor(
            count,
            self._mean[slot],
            self._std[slot],
            self._window_means[slot, :whole],
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

    def _log_odds(self, prepared: PreparedDescriptor, slots: list[int]) -> dict[int, float]:
        if not slots:
            return {}
        far = ((self._centroid[slots] - prepared.centroid) ** 2).sum(axis=1)
        nearest = np.argsort(far, kind="stable")[:MAX_COMPARISONS]
        model = self._model
        return {
            slots[i]: float(
                (compare_descriptors(prepared, self._prepared_at(slots[i])) - model.mean) / model.std @ model.weights
                + model.bias
            )
            for i in nearest
        }
