"""The judge: the probability that the sound changed at each of a few ages back, from everything heard so far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.evidence import Evidence
from streamseg.engine.trees import boosted
from streamseg.weights import ChangeModel

_EARLIEST = 4  # the first vectors of a stream are no place for a change


class Judge:
    """Texture vectors in, probabilities out."""

    def __init__(self, model: ChangeModel) -> None:
        self._model = model
        self._evidence = Evidence(model)
        self._scores = np.zeros(len(model.ages))
        self._step = 0

    def push(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take one texture vector, shape (VECTOR_DIMS,), standardised.

        Returns, for each of the model's ages, the probability that a section began with the vector that many back,
        counted to the next vector; 0 where there is none.
        """
        model = self._model
        told = self._evidence.push(vector)
        self._step += 1
        boosted(told, model.first, model.feature, model.threshold, model.left, model.right, model.value, self._scores)
        odds = np.exp(self._scores) * model.prior
        heard = model.ages <= self._step - _EARLIEST
        probabilities: NDArray[np.float64] = np.where(heard, odds / (1.0 + odds), 0.0)
        return probabilities
