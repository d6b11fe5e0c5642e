"""Whether a probability is what it says: of all that was said with 80 %, four in five should hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: of each tenth of the scale what was said on average, what share held, and how often."""

    said: tuple[float, ...]
    held: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini, Cooper & Hauskrecht 2015): how far apart, weighted by how often."""
        total = sum(self.count)
        if not total:
            return float("nan")
        return sum(n * abs(said - held) for said, held, n in zip(self.said, self.held, self.count)) / total


def reliability(said: list[float], held: list[bool]) -> Reliability:
    """Gather sayings into ten bins of equal width; empty ones are left out."""
    probability, outcome = np.array(said, float), np.array(held, float)
    where = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    filled = [here for number in range(BINS) if (here := where == number).any()]
    return Reliability(
        tuple(float(probability[here].mean()) for here in filled),
        tuple(float(outcome[here].mean()) for here in filled),
        tuple(int(here.sum()) for here in filled),
    )
