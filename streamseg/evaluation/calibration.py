"""Measures and fits calibration: of all predictions made with a probability of 80 %, 80 % should come true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.calibration import calibration_curve

Floats = NDArray[np.float64]

BINS = 10
_PRIOR_COUNT = 10.0  # weight of the identity calibration, in predictions


@dataclass(frozen=True, slots=True)
class ReliabilityDiagram:
    """How often predictions came true, in bins of their probability; bins without predictions are left out.

    probability: mean of each bin. frequency: share of each bin that came true. count: predictions in each bin.
    """

    probability: tuple[float, ...]
    frequency: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, 0 to 1 (Naeini, Cooper & Hauskrecht 2015); NaN without predictions."""
        if not self.count:
            return float("nan")
        return float(np.average(np.abs(np.subtract(self.probability, self.frequency)), weights=self.count))


def make_reliability_diagram(probabilities: list[float], outcomes: list[bool]) -> ReliabilityDiagram:
    """Make the reliability diagram of predictions, with ten bins of equal width.

    Parameters
    ----------
    probabilities
        From 0 to 1.
    outcomes
        Whether each prediction came true.
    """
    if not probabilities:
        return ReliabilityDiagram((), (), ())
    share, mean = calibration_curve(np.array(outcomes, int), probabilities, n_bins=BINS)
    # The bins of `calibration_curve`, which returns no counts: each includes its upper edge.
    count = np.bincount(np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], probabilities))
    return ReliabilityDiagram(tuple(mean.tolist()), tuple(share.tolist()), tuple(count[count > 0].tolist()))


class PlattScaling(NamedTuple):
    """A calibration of probabilities: their log-odds are multiplied by `slope`, then `shift` is added."""

    slope: float
    shift: float


def fit_platt_scaling(probabilities: Floats, outcomes: NDArray[np.bool_]) -> PlattScaling:
    """Fit the slope and the shift that calibrate predicted probabilities when applied to log-odds (Platt 1999).

    Maximum likelihood with a ridge towards the identity (1, 0), which weighs `_PRIOR_COUNT` predictions. A ridge in
    scikit-learn's `LogisticRegression` is towards 0 and cannot penalise the intercept, hence `scipy.optimize`.

    Parameters
    ----------
    probabilities
        Shape (n,), 0 < p < 1.
    outcomes
        Shape (n,), whether each prediction came true.
    """
    log_odds = np.log(probabilities / (1.0 - probabilities))

    def loss(parameters: Floats) -> float:
        slope, shift = parameters
        z = slope * log_odds + shift
        ridge = 0.5 * _PRIOR_COUNT * ((slope - 1.0) ** 2 + shift**2)
        return float(np.sum(np.logaddexp(0.0, z) - outcomes * z) + ridge)

    slope, shift = minimize(loss, np.array([1.0, 0.0]), bounds=[(0.2, 5.0), (-5.0, 5.0)]).x
    return PlattScaling(float(slope), float(shift))
