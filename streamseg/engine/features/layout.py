"""What the kernel of a frame reads and writes: tables that never change, state that is kept, scratch that is not.

Each of the three is one piece of memory with named parts. To hand over an array costs as much as a feature, to hand
over a piece no more than an array; and its parts have sizes that the compiler knows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike

from streamseg.engine.features import filterbanks, fourier, pitch, rhythm, tuning
from streamseg.engine.features.columns import MEL_BANDS, MFCCS
from streamseg.engine.features.contrast import SCAN_WIDTH
from streamseg.engine.features.filterbanks import BINS, LANES, Records
from streamseg.settings import FRAME, HOP

_BINS: Final = BINS + LANES  # a padded band may read (and weigh by 0) beyond the last bin
_MAX_BANDS: Final = 256  # mel bands and runs of chroma
_MAX_EXTREME_BINS: Final = 16  # bins averaged at an extreme of a contrast band


def make_tables() -> Records:
    """Everything fixed."""
    chroma, pitch_class = filterbanks.chroma_filters()
    bank = filterbanks.make_filter_bank(filterbanks.mel_filters(MEL_BANDS) + chroma)
    tuned, tuned_class, tuned_start = tuning.tuned_filter_banks()
    return _make_record(
        window=0.5 * filterbanks.hann_window(FRAME),  # half of it: see `fourier.powers`
        turns=fourier.twiddle_factors(),
        half_turns=fourier.half_twiddle_factors(),
        bins=np.arange(BINS, dtype=float),
        first=bank.first,
        offset=bank.offset,
        weights=bank.weights,
        pitch_class=pitch_class,
        transform=filterbanks.dct_matrix(MEL_BANDS, MFCCS),
        contrast_bands=filterbanks.contrast_bands(),
        pitch=np.stack([pitch.inverse_window_autocorrelation(), pitch.octave_costs()]),
        folds=pitch.folding_weights(),
        tuned_first=tuned.first,
        tuned_offset=tuned.offset,
        tuned_weights=tuned.weights,
        tuned_class=tuned_class,
        tuned_start=tuned_start,
        waves=rhythm.tempo_cosines(),
    )


def make_state() -> Records:
    """What is known before the first sample."""
    return _make_record(
        history=np.zeros(FRAME),
        counts=np.zeros(2, np.int64),  # samples in the history, frames so far
        hops=np.zeros((FRAME // HOP, 3)),
        mel_before=np.zeros(MEL_BANDS),
        loudest=np.full(1, -100.0),
        tuning=np.zeros(tuning.STATE_SIZE),
        onsets=np.zeros(2 * rhythm.LAGS),
        onset_correlation=np.zeros(rhythm.LAGS),
        rhythm=np.zeros(4 + 2 * rhythm.ONSET_DELAY + 1),
    )


def make_scratch() -> Records:
    """What a frame writes and the next one overwrites."""
    return _make_record(
        transformed=np.zeros((4, fourier.POINTS)),
        power=np.zeros(_BINS),
        magnitude=np.zeros(_BINS),
        clamped=np.zeros(_BINS),
        bands=np.zeros(_MAX_BANDS),
        folded=np.zeros(pitch.HALF),
        turned=np.zeros(pitch.HALF // 2 + 1, np.complex128),
        correlation=np.zeros(pitch.END_LAG + 3),
        sums=np.zeros(32),
        columns=np.zeros(SCAN_WIDTH),
        strongest=np.zeros(_MAX_EXTREME_BINS),
    )


def _make_record(**parts: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Records:
    fields: list[tuple[str, DTypeLike, tuple[int, ...]]] = [(n, part.dtype, part.shape) for n, part in parts.items()]
    piece = np.zeros(1, np.dtype(fields, align=True))
    for name, part in parts.items():
        piece[name][0] = part
    return piece
