"""The boundary classifier estimates the probability that the sound changed, for candidates of a few ages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.candidates import CandidateScorer
from streamseg.engine.models.weights import BoundaryModel


class BoundaryClassifier:
    """Estimates the probability that a section starts at each recent texture vector, with a model of boosted trees."""

    def __init__(self, model: BoundaryModel) -> None:
        """model: the trees, and `prior`, the factor that scales their odds to those of real sound."""
        self._prior = float(model.prior)
        self._features = CandidateScorer(model)

    def push(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Process the next texture vector; return the probability, 0 to 1, that a section starts at each candidate.

        vector: shape (VECTOR_DIMS,), standardised. Returns shape (ages,): one candidate for each of the model's ages.
        Age 1 is the step of this vector; a step before the first vector has probability 0.
        """
        odds = np.exp(self._features.push(vector)) * self._prior
        probabilities: NDArray[np.float64] = odds / (1.0 + odds)
        return probabilities
