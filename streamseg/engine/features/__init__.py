"""Computes a row of features for each frame: timbre, harmony, level, shape of the spectrum, rhythm, pitch.

Frame i covers the samples from 512·i to 512·i + 2,047 of a 22,050 Hz signal (librosa's `center=False`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rocket_fft  # noqa: F401  (gives np.fft to nopython code)
from numpy.typing import NDArray

from streamseg.engine.features import layout, spectrum
from streamseg.engine.features.columns import COLUMNS, COLUMNS_TOTAL, UNITS
from streamseg.settings import FRAME, HOP

__all__ = ["COLUMNS", "COLUMNS_TOTAL", "UNITS", "FeatureExtractor"]

_FEATURE_TABLES = layout.make_tables()


class FeatureExtractor:
    """Turns samples into feature frames; the result does not depend on how the samples are cut into pushes.

    Pickles between pushes.
    """

    def __init__(self) -> None:
        self._state, self._scratch = layout.make_state(), layout.make_scratch()

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Process the next samples, float32 (n,), mono at 22,050 Hz, full scale ±1; return the frames they complete.

        Returns float64 (frames, COLUMNS_TOTAL), the columns as in `COLUMNS`. Samples that are not numbers count as 0,
        those beyond ±8 as ±8.
        """
        pending = int(self._state["counts"][0, 0])
        out = np.empty((max(0, (pending + len(samples) - FRAME) // HOP + 1), COLUMNS_TOTAL))
        spectrum.push_samples(samples, _FEATURE_TABLES, self._state, self._scratch, out)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {"_state": self._state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._scratch = layout.make_scratch()
