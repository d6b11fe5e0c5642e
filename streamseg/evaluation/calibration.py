"""Whether a probability is what it says: of all that was said with 80 %, four in five should hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]

BINS = 10
_PRIOR_COUNT = 10.0  # sayings that would speak for leaving the probabilities as they are


@dataclass(frozen=True, slots=True)
class ReliabilityDiagram:
    """A reliability diagram: of each tenth of the scale what was said on average, what share held, and how often."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini, Cooper & Hauskrecht 2015): how far apart, weighted by how often."""
        total = sum(self.count)
        if not total:
            return float("nan")
        return sum(n * abs(said - held) for said, held, n in zip(self.predicted, self.observed, self.count)) / total


def make_reliability_diagram(predicted: list[float], observed: list[bool]) -> ReliabilityDiagram:
    """Gather sayings into ten bins of equal width; empty ones are left out."""
    probability, outcome = np.array(predicted, float), np.array(observed, float)
    where = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    filled = [here for number in range(BINS) if (here := where == number).any()]
    return ReliabilityDiagram(
        tuple(float(probability[here].mean()) for here in filled),
        tuple(float(outcome[here].mean()) for here in filled),
        tuple(int(here.sum()) for here in filled),
    )


def fit_platt(predicted: Floats, observed: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make probabilities what they say; (1, 0) where nothing was said.

    Maximum likelihood with a ridge towards leaving them alone, worth `_HELD` sayings.
    """
    log_odds = np.log(predicted / (1.0 - predicted))

    def loss(at: Floats) -> float:
        z = at[0] * log_odds + at[1]
        return float(
            np.sum(np.logaddexp(0.0, z) - observed * z) + 0.5 * _PRIOR_COUNT * ((at[0] - 1.0) ** 2 + at[1] ** 2)
        )

    slope, shift = minimize(loss, np.array([1.0, 0.0]), bounds=[(0.2, 5.0), (-5.0, 5.0)]).x
    return float(slope), float(shift)
