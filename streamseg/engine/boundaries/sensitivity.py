"""Applies the setting `sensitivity`: how many boundaries are reported, from 0 (fewest) to 1 (most).

The weights were tuned at .5. Another sensitivity shifts all thresholds, provisional and confirming, at every age, by
the same log-odds. The probabilities stay, so stability and confidence keep their meaning. Of two sensitivities, the
higher has each threshold lower.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.models.weights import BoundaryModel
from streamseg.settings import Profile, Settings

_NEUTRAL = 0.5
# Log-odds by which thresholds rise at sensitivity 0, and fall at 1. Calibrated on annotated sound (docs/accuracy.md):
# at 0 about half as many boundaries as at .5, at 1 about twice as many. `room` uses the weights, and so the scale, of
# `broadcast`.
_RANGES: Final[dict[Profile, tuple[float, float]]] = {
    "music": (2.0, 1.6),
    "dj": (2.5, 2.0),
    "broadcast": (2.5, 5.0),
    "room": (2.5, 5.0),
}


def compute_threshold_shift(settings: Settings) -> float:
    """Return the log-odds to add to every threshold at the set sensitivity: 0 at .5, above 0 for fewer boundaries."""
    distance = (_NEUTRAL - settings.sensitivity) / _NEUTRAL
    at_0, at_1 = _RANGES[settings.profile]
    return distance * (at_0 if distance > 0.0 else at_1)


def shift_threshold(threshold: float, shift: float) -> float:
    """Return a probability threshold with `shift` added to the log-odds; one outside (0, 1) is returned unchanged."""
    if shift == 0.0 or not 0.0 < threshold < 1.0:
        return threshold
    return 1.0 / (1.0 + math.exp(-(math.log(threshold / (1.0 - threshold)) + shift)))


def shift_thresholds(thresholds: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Return probability thresholds, any shape, with `shift` added to the log-odds; those outside (0, 1) unchanged."""
    shifted_thresholds = [shift_threshold(float(threshold), shift) for threshold in thresholds.flat]
    return np.array(shifted_thresholds).reshape(thresholds.shape)


def lower_gate_at_high_sensitivity(model: BoundaryModel, settings: Settings) -> BoundaryModel:
    """Return the model, its gate (log-odds that candidates must reach) lowered if sensitivity is over .5.

    The first trees reject candidates below the gate, which is lowered by as much as the thresholds; at .5 or less the
    same model is returned. A candidate that the gate rejects is never confirmed, so the gate must fall with the
    thresholds. It does not rise with them, so that the probability of a candidate depends on the setting no more than
    necessary.
    """
    shift = compute_threshold_shift(settings)
    return replace(model, gate=model.gate + shift) if shift < 0.0 else model
