"""Allocates the memory of the feature kernel: tables that never change, state, scratch.

Each of the three is a record (a structured array of one element) with named arrays, where other kernels have a
NamedTuple of arrays. Passing 38 arrays from Python costs 7.7 us, passing three records .8 us, a frame 20 us (measured
with numba 0.68): one frame per push would be a third slower. And the compiler knows the sizes of a record's arrays.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import DTypeLike

from streamseg.engine.features import filterbanks, fourier, pitch, rhythm, tuning
from streamseg.engine.features.columns import MEL_BANDS, MFCCS
from streamseg.engine.features.contrast import SCAN_WIDTH
from streamseg.engine.features.filterbanks import BINS, LANES, Records
from streamseg.engine.features.spectral_shape import CHUNKS
from streamseg.settings import FRAME, HOP

_PADDED_BINS: Final = BINS + LANES  # a padded band may read, and weigh by 0, beyond the last bin
_MAX_BANDS: Final = 256  # mel bands and runs of chroma
_MAX_EXTREME_BINS: Final = 16  # bins that are averaged at an extreme of a contrast band


def make_feature_tables() -> Records:
    """Make the constant tables for computing features; return a structured array, shape (1,), one field per table."""
    chroma, pitch_class = filterbanks.make_chroma_filters()
    bank = filterbanks.make_filter_bank(filterbanks.make_mel_filters(MEL_BANDS) + chroma)
    tuned_banks = tuning.make_tuned_filter_banks()
    return _make_record(
        window=0.5 * filterbanks.make_hann_window(FRAME),  # half of it: see `fourier.compute_power_spectrum`
        twiddles=fourier.make_twiddle_factors(),
        joining_twiddles=fourier.make_joining_twiddle_factors(),
        bins=np.arange(BINS, dtype=float),
        first=bank.first,
        offset=bank.offset,
        weights=bank.weights,
        pitch_class=pitch_class,
        dct=filterbanks.make_dct_matrix(MEL_BANDS, MFCCS),
        contrast_bands=filterbanks.make_contrast_bands(),
        lag_tables=np.stack([pitch.make_inverse_window_autocorrelation(), pitch.make_lag_costs()]),
        folding=pitch.make_folding_weights(),
        tuned_first=tuned_banks.bank.first,
        tuned_offset=tuned_banks.bank.offset,
        tuned_weights=tuned_banks.bank.weights,
        tuned_class=tuned_banks.pitch_classes,
        tuned_start=tuned_banks.starts,
        tempo_cosines=rhythm.make_tempo_cosines(),
    )


def make_feature_state() -> Records:
    """Make the state for computing features before the first sample; return a structured array, shape (1,)."""
    return _make_record(
        history=np.zeros(FRAME),
        counts=np.zeros(2, np.int64),  # samples in the history; frames so far
        hops=np.zeros((FRAME // HOP, 3)),
        previous_mel_db=np.zeros(MEL_BANDS),
        loudest_db=np.full(1, -100.0),
        tuning=np.zeros(tuning.STATE_SIZE),
        rises=np.zeros(2 * rhythm.LAGS),
        onset_correlation=np.zeros(rhythm.LAGS),
        rhythm=np.zeros(rhythm.STATE_SIZE),
    )


def make_feature_scratch() -> Records:
    """Make the memory that is overwritten when a frame's features are computed: a structured array, shape (1,)."""
    return _make_record(
        passes=np.zeros((4, fourier.POINTS)),
        power=np.zeros(_PADDED_BINS),
        magnitude=np.zeros(_PADDED_BINS),
        clamped_power=np.zeros(_PADDED_BINS),
        bands=np.zeros(_MAX_BANDS),
        folded_power=np.zeros(pitch.HALF),
        half_spectrum=np.zeros(pitch.HALF // 2 + 1, np.complex128),
        correlation=np.zeros(pitch.END_LAG + 3),
        chunk_sums=np.zeros(CHUNKS),
        maxima=np.zeros(SCAN_WIDTH),
        strongest=np.zeros(_MAX_EXTREME_BINS),
    )


def _make_record(**parts: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Records:
    """Return a structured array, shape (1,), with these arrays as its fields."""
    fields: list[tuple[str, DTypeLike, tuple[int, ...]]] = [(n, part.dtype, part.shape) for n, part in parts.items()]
    record = np.zeros(1, np.dtype(fields, align=True))
    for name, part in parts.items():
        record[name][0] = part
    return record
