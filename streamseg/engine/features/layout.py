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
from streamseg.engine.features.contrast import COLUMNS_READ
from streamseg.engine.features.filterbanks import BINS, LANES, Pieces
from streamseg.settings import FRAME, HOP

_BINS: Final = BINS + LANES  # a padded band may read (and weigh by 0) beyond the last bin
_BANDS_MOST: Final = 256  # mel bands and runs of chroma
_MOST_TAKEN: Final = 16  # bins averaged at an extreme of a contrast band


def tables() -> Pieces:
    """Everything fixed."""
    chroma, pitch_class = filterbanks.chroma_rows()
    bank = filterbanks.banked(filterbanks.mel_rows(MEL_BANDS) + chroma)
    tuned, tuned_class, tuned_start = tuning.tuned_banks()
    return _filled(
        window=0.5 * filterbanks.hann(FRAME),  # half of it: see `fourier.powers`
        turns=fourier.turns(),
        half_turns=fourier.half_turns(),
        bins=np.arange(BINS, dtype=float),
        first=bank.first,
        offset=bank.offset,
        weights=bank.weights,
        pitch_class=pitch_class,
        transform=filterbanks.cosine_transform(MEL_BANDS, MFCCS),
        contrast_bands=filterbanks.contrast_bands(),
        pitch=np.stack([pitch.window_correlation(), pitch.octave_costs()]),
        folds=pitch.folding(),
        tuned_first=tuned.first,
        tuned_offset=tuned.offset,
        tuned_weights=tuned.weights,
        tuned_class=tuned_class,
        tuned_start=tuned_start,
        waves=rhythm.waves(),
    )


def state() -> Pieces:
    """What is known before the first sample."""
    return _filled(
        history=np.zeros(FRAME),
        counts=np.zeros(2, np.int64),  # samples in the history, frames so far
        hops=np.zeros((FRAME // HOP, 3)),
        mel_before=np.zeros(MEL_BANDS),
        loudest=np.full(1, -100.0),
        tuning=np.zeros(tuning.STATE),
        onsets=np.zeros(2 * rhythm.LAGS),
        onset_correlation=np.zeros(rhythm.LAGS),
        rhythm=np.zeros(4 + 2 * rhythm.ONSET_DELAY + 1),
    )


def scratch() -> Pieces:
    """What a frame writes and the next one overwrites."""
    return _filled(
        transformed=np.zeros((4, fourier.POINTS)),
        power=np.zeros(_BINS),
        magnitude=np.zeros(_BINS),
        clamped=np.zeros(_BINS),
        bands=np.zeros(_BANDS_MOST),
        folded=np.zeros(pitch.HALF),
        turned=np.zeros(pitch.HALF // 2 + 1, np.complex128),
        correlation=np.zeros(pitch.END_LAG + 3),
        sums=np.zeros(32),
        columns=np.zeros(COLUMNS_READ),
        strongest=np.zeros(_MOST_TAKEN),
    )


def _filled(**parts: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Pieces:
    fields: list[tuple[str, DTypeLike, tuple[int, ...]]] = [(n, part.dtype, part.shape) for n, part in parts.items()]
    piece = np.zeros(1, np.dtype(fields, align=True))
    for name, part in parts.items():
        piece[name][0] = part
    return piece
