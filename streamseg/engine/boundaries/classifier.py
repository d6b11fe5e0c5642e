"""The judge: the probability that the sound changed at each of a few ages back, from everything heard so far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.candidates import CandidateFeatures
from streamseg.engine.models.weights import BoundaryModel


class BoundaryClassifier:
    """Texture vectors in, probabilities out."""

    def __init__(self, model: BoundaryModel) -> None:
        self._prior = float(model.prior)
        self._features = CandidateFeatures(model)

    def push(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take one texture vector, shape (VECTOR_DIMS,), standardised.

        Returns, for each of the model's ages, the probability that a section began with the vector that many back,
        counted to the next vector; 0 where there is none.
        """
        odds = np.exp(self._features.push(vector)) * self._prior
        probabilities: NDArray[np.float64] = odds / (1.0 + odds)
        return probabilities
