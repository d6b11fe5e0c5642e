"""Computes one row of features for each frame of mono sound: timbre, harmony, level, spectrum, rhythm, pitch.

Frame i covers the samples from 512·i to 512·i + 2,047 of a 22,050 Hz signal (librosa's `center=False`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rocket_fft  # noqa: F401  (gives np.fft to nopython code)
from numpy.typing import NDArray

from streamseg.engine.features import kernel_memory, spectrum
from streamseg.engine.features.columns import COLUMNS, COLUMNS_TOTAL, UNITS
from streamseg.settings import FRAME, HOP

__all__ = ["COLUMNS", "COLUMNS_TOTAL", "UNITS", "FeatureExtractor"]

_FEATURE_TABLES = kernel_memory.make_feature_tables()


class FeatureExtractor:
    """Computes a feature frame (a row of numbers) for every 512 samples of mono sound at 22,050 Hz that are pushed.

    The frames do not depend on how many samples each push has. An extractor can be pickled between pushes.
    """

    def __init__(self) -> None:
        self._state, self._scratch = kernel_memory.make_feature_state(), kernel_memory.make_feature_scratch()

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Process the next samples; return the feature frames that are now complete, float64 (frames, COLUMNS_TOTAL).

        samples: float32 (n,), mono at 22,050 Hz, full scale ±1; NaN counts as 0, values beyond ±8 as ±8. `COLUMNS`
        tells which columns hold which feature.
        """
        pending = int(self._state["counts"][0, 0])
        out = np.empty((max(0, (pending + len(samples) - FRAME) // HOP + 1), COLUMNS_TOTAL))
        spectrum.write_feature_rows(samples, _FEATURE_TABLES, self._state, self._scratch, out)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {"_state": self._state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._scratch = kernel_memory.make_feature_scratch()
