"""Estimates the tuning of the music relative to A = 440 Hz, and provides filter banks for chroma at that tuning.

Each strong partial lies a fraction of a semitone beside the nearest note; the mean of these fractions, as directions
on a circle weighted by strength, is the tuning (Dressler & Streich 2007; librosa takes the mode of the same fractions).
`chroma` stays at 440 Hz: boundaries are detected in it, and a reference that moved some seconds after a track begins
would look like one more change. `tuned_chroma` is for people, reports and the key.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import (
    BIN_HZ,
    FilterBank,
    Floats,
    Ints,
    make_chroma_filters,
    make_filter_bank,
)
from streamseg.engine.kernels import subkernel
from streamseg.settings import FRAMES_PER_SECOND

LOWEST_BIN, HIGHEST_BIN = int(300.0 / BIN_HZ), int(2_500.0 / BIN_HZ)  # below, neighbouring notes are one peak
MIN_RELATIVE_MAGNITUDE: Final = 0.03  # of a partial, relative to the frame's strongest
MIN_MAGNITUDE: Final = 0.01  # of a partial (a sine of -94 dB)
MEMORY_S: Final = 10.0
ESTIMATE_HOP: Final = 4  # frames from one measurement to the next: as far as frames overlap
FADE: Final = math.exp(-ESTIMATE_HOP / (MEMORY_S * FRAMES_PER_SECOND))
MIN_CONCENTRATION: Final = 0.35  # length of the mean direction: 0 for noise, 1 for an organ
MIN_FRAMES: Final = 5.0  # measurements with partials, faded, before the first estimate
STEPS_PER_SEMITONE: Final = 10  # filter banks
SWITCH_DISTANCE: Final = 0.08  # semitones between the estimate and the bank in use before another one is used

TUNING: Final = COLUMNS["tuning_cents"].start

# Indices of the state: sum of the directions (real, imaginary part), of the weights; measurements that had partials;
# the estimate and the tuning of the bank in use, semitones.
RE, IM, WEIGHT, FRAMES, ESTIMATE, ACTIVE_BANK = range(6)
STATE_SIZE: Final = 6


class TunedFilterBanks(NamedTuple):
    """One filter bank with the chroma bands of 11 tunings, -0.5 to 0.5 semitones from A = 440 Hz, one after the other.

    pitch_classes: int64 (bands,), 0 = C. starts: int64 (STEPS_PER_SEMITONE + 2,), the index of each tuning's first
    band, then the number of bands.
    """

    bank: FilterBank
    pitch_classes: Ints
    starts: Ints


def make_tuned_filter_banks() -> TunedFilterBanks:
    """Make the chroma filter bands for music tuned -0.5 to 0.5 semitones from A = 440 Hz, in steps of 0.1 semitones."""
    banks = [
        make_chroma_filters(step / STEPS_PER_SEMITONE)
        for step in range(-STEPS_PER_SEMITONE // 2, STEPS_PER_SEMITONE // 2 + 1)
    ]
    starts = np.concatenate(([0], np.cumsum([len(filters.bands) for filters in banks])))
    bank = make_filter_bank([band for filters in banks for band in filters.bands])
    return TunedFilterBanks(bank, np.concatenate([filters.pitch_classes for filters in banks]), starts.astype(np.int64))


@subkernel
def estimate_tuning(magnitude: Floats, frame: int, state: Floats, out: Floats) -> int:
    """Update the tuning estimate with a frame; write cents to `out`; return which tuned chroma bands to use, -5 to 5.

    The tuning is that of the last seconds, -50 to 50 cents from A = 440 Hz; the last estimate stays where nothing tonal
    sounds. The number returned is the tuning of the bands in tenths of a semitone.

    A partial's frequency comes from its peak and the larger neighbour, exact for a sine under the Hann window
    (Grandke 1983). magnitude: float64 (BINS or more,). frame: the frame's number. state: float64
    (STATE_SIZE,). out: the frame's row.
    """
    if frame % ESTIMATE_HOP:
        out[TUNING] = 100.0 * state[ESTIMATE]
        return round(float(state[ACTIVE_BANK]) * STEPS_PER_SEMITONE)
    strongest = MIN_MAGNITUDE
    for k in range(LOWEST_BIN, HIGHEST_BIN):
        strongest = max(strongest, magnitude[k])
    least = MIN_RELATIVE_MAGNITUDE * strongest
    re = im = weight = 0.0
    for k in range(LOWEST_BIN, HIGHEST_BIN):
        here, left, right = magnitude[k], magnitude[k - 1], magnitude[k + 1]
        if here > least and here >= left and here > right:
            ratio = max(left, right) / here
            offset = (2.0 * ratio - 1.0) / (ratio + 1.0)
            hz = (k + (offset if right > left else -offset)) * BIN_HZ
            angle = 2.0 * math.pi * 12.0 * math.log2(hz / 440.0)
            re += here * math.cos(angle)
            im += here * math.sin(angle)
            weight += here
    state[RE] *= FADE
    state[IM] *= FADE
    state[WEIGHT] *= FADE
    state[FRAMES] *= FADE
    if weight > 0.0:
        state[RE] += re
        state[IM] += im
        state[WEIGHT] += weight
        state[FRAMES] += 1.0
    if state[FRAMES] >= MIN_FRAMES and math.hypot(state[RE], state[IM]) >= MIN_CONCENTRATION * state[WEIGHT]:
        state[ESTIMATE] = math.atan2(state[IM], state[RE]) / (2.0 * math.pi)
        distance = abs(state[ESTIMATE] - state[ACTIVE_BANK])
        if min(distance, 1.0 - distance) > SWITCH_DISTANCE:  # on the circle: a quarter-tone up is one down
            state[ACTIVE_BANK] = round(state[ESTIMATE] * STEPS_PER_SEMITONE) / STEPS_PER_SEMITONE
    out[TUNING] = 100.0 * state[ESTIMATE]
    return round(float(state[ACTIVE_BANK]) * STEPS_PER_SEMITONE)
