"""What is heard in a frame: timbre, harmony, level, shape of the spectrum.

Frame i covers the samples from 512·i to 512·i + 2,047 of a 22,050 Hz signal (librosa's `center=False`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import rocket_fft  # noqa: F401  (gives np.fft to nopython code)
from numpy.typing import NDArray

from streamseg.engine.features import filterbanks, fourier, pitch, rhythm, spectral, tuning
from streamseg.engine.features.columns import COLUMNS, COLUMNS_TOTAL, MEL_BANDS, MFCCS, UNITS
from streamseg.settings import FRAME, HOP

__all__ = ["COLUMNS", "COLUMNS_TOTAL", "UNITS", "Features"]

_CHROMA_ROWS, _PITCH_CLASS = filterbanks.chroma_rows()
_BANK = filterbanks.banked(filterbanks.mel_rows(MEL_BANDS) + _CHROMA_ROWS)
_WINDOW = 0.5 * filterbanks.hann(FRAME)  # half of it: see `fourier.powers`
_TURNS, _HALF_TURNS = fourier.turns(), fourier.half_turns()
_TRANSFORM = filterbanks.cosine_transform(MEL_BANDS, MFCCS)
_CONTRAST_BANDS = filterbanks.contrast_bands()
_PITCH_TABLES = np.stack([pitch.window_correlation(), pitch.octave_costs()])
_WAVES = rhythm.waves()
_TUNED_BANK, _TUNED_CLASS, _TUNED_START = tuning.tuned_banks()
_STATE = (
    "_history",
    "_counts",
    "_mel_before",
    "_loudest",
    "_tuning",
    "_onsets",
    "_onset_correlation",
    "_rhythm",
)


class Features:
    """Samples in, a row of features for each frame they complete out.

    Results are the same bits whatever the sizes of the pushes. Pickles between pushes.
    """

    def __init__(self) -> None:
        self._history = np.zeros(FRAME)
        self._counts = np.zeros(2, np.int64)  # samples in the history, frames so far
        self._mel_before = np.zeros(MEL_BANDS)
        self._loudest, self._tuning = np.full(1, -100.0), np.zeros(tuning.STATE)
        self._onsets, self._onset_correlation = np.zeros(2 * rhythm.LAGS), np.zeros(rhythm.LAGS)
        self._rhythm = np.zeros(4 + 2 * rhythm.ONSET_DELAY + 1)
        self._make_scratch()

    def _make_scratch(self) -> None:
        """What a frame writes and the next one overwrites; no part of the state."""
        bins = filterbanks.BINS + filterbanks.LANES  # a padded band may read (and weigh by 0) beyond the last bin
        self._transformed = np.zeros((4, fourier.POINTS))
        self._power, self._magnitude, self._clamped = np.zeros(bins), np.zeros(bins), np.zeros(bins)
        self._clamped_bits = self._clamped.view(np.int64)
        self._bands = np.zeros(len(_BANK.first))
        self._half, self._correlation = np.zeros(pitch.POINTS // 2 + 1, np.complex128), np.zeros(pitch.POINTS)
        self._scratch = np.zeros(32)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Take mono samples at 22,050 Hz, shape (n,); full scale is ±1.

        Returns shape (frames, COLUMNS_TOTAL), float64, the columns as in `COLUMNS`; no frame where the samples
        complete none. Samples that are not numbers count as 0, those beyond ±8 as ±8.
        """
        frames = max(0, (int(self._counts[0]) + len(samples) - FRAME) // HOP + 1)
        out = np.empty((frames, COLUMNS_TOTAL))
        spectral.advance(
            samples,
            self._history,
            self._counts,
            _WINDOW,
            _TURNS,
            _HALF_TURNS,
            self._transformed,
            self._power,
            self._magnitude,
            self._clamped,
            self._clamped_bits,
            _BANK.first,
            _BANK.offset,
            _BANK.weights,
            self._bands,
            _TRANSFORM,
            _PITCH_CLASS,
            self._mel_before,
            _CONTRAST_BANDS,
            _PITCH_TABLES,
            self._half,
            self._correlation,
            self._loudest,
            _TUNED_BANK.first,
            _TUNED_BANK.offset,
            _TUNED_BANK.weights,
            _TUNED_CLASS,
            _TUNED_START,
            self._tuning,
            self._onsets,
            self._onset_correlation,
            _WAVES,
            self._rhythm,
            self._scratch,
            out,
        )
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in _STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_scratch()
