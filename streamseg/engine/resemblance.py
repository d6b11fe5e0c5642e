"""What is remembered of sections, and how much a section resembles each of them.

Everything lies in arrays made at the start, so memory is the same after ten hours as after ten minutes. Only the
few that look most alike at first sight are compared in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.likeness import Sketch, compare, sketch
from streamseg.engine.portrait import BLOCKS, PROGRESSION_STEPS, Portrait, restored
from streamseg.engine.texture import STANDARDISED_DIMS, VECTOR_DIMS
from streamseg.weights import LabelModel

COMPARED = 8  # at most, of all that is remembered

Halves = NDArray[np.float16]


class Resemblance:
    """Portraits in numbered slots; a `Likeness` for `SectionClusterer`."""

    def __init__(self, model: LabelModel, capacity: int) -> None:
        """capacity: slots."""
        dims = model.projection.shape[1]
        self._model = model
        self._size = np.zeros((capacity, 3), np.int64)  # vectors, blocks, steps of progression
        self._blocks: Halves = np.zeros((capacity, BLOCKS, dims), np.float16)
        self._generic: Halves = np.zeros((capacity, BLOCKS), np.float16)
        self._middle = np.zeros((capacity, dims), np.float32)
        self._mean = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._deviation = np.zeros((capacity, VECTOR_DIMS), np.float32)
        self._chroma = np.zeros((capacity, 12), np.float32)
        self._progression: Halves = np.zeros((capacity, PROGRESSION_STEPS, 12), np.float16)
        self._heard: Halves = np.zeros((capacity, BLOCKS, STANDARDISED_DIMS), np.float16)  # before any projection

    def keep(self, slot: int, x: Portrait) -> None:
        """Remember a portrait in this slot."""
        made = sketch(x, self._model)
        self._size[slot], self._blocks[slot], self._generic[slot] = made.size, made.blocks, made.generic
        self._middle[slot], self._mean[slot], self._deviation[slot] = made.middle, made.mean, made.deviation
        self._chroma[slot], self._progression[slot] = made.chroma, made.progression
        self._heard[slot] = x.blocks

    def odds(self, x: Portrait, slots: list[int]) -> dict[int, float]:
        """Log-odds that the section is the same as each of those that look most like it."""
        return self._odds(sketch(x, self._model), slots)

    def odds_within(self, slot: int, slots: list[int]) -> dict[int, float]:
        """The same of one that is remembered."""
        return self._odds(self._sketch(slot), slots)

    def portrait(self, slot: int) -> Portrait:
        """What was kept, to the precision it was kept with."""
        count, kept, steps = (int(n) for n in self._size[slot])
        whole = kept if count >= kept * 4 else 0  # a section shorter than a block has none
        return restored(
            count,
            self._mean[slot],
            self._deviation[slot],
            self._heard[slot, :whole],
            self._progression[slot, :steps],
        )

    def _sketch(self, slot: int) -> Sketch:
        return Sketch(
            self._size[slot],
            self._blocks[slot].astype(np.float32),
            self._generic[slot].astype(np.float32),
            self._middle[slot],
            self._mean[slot],
            self._deviation[slot],
            self._chroma[slot],
            self._progression[slot].astype(np.float32),
        )

    def _odds(self, made: Sketch, slots: list[int]) -> dict[int, float]:
        if not slots:
            return {}
        far = ((self._middle[slots] - made.middle) ** 2).sum(axis=1)
        nearest = np.argsort(far, kind="stable")[:COMPARED]
        model = self._model
        return {
            slots[i]: float(
                (compare(made, self._sketch(slots[i])) - model.mean) / model.deviation @ model.weights + model.bias
            )
            for i in nearest
        }
