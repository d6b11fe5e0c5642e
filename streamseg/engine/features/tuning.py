"""How far the music is tuned from A = 440 Hz, and chroma that follows it.

Each strong partial lies some share of a semitone beside the nearest note; the mean of these shares, as directions on a
circle and weighed by strength, is the tuning (Dressler & Streich 2007; librosa takes the mode of the same shares).
`chroma` stays at 440 Hz: it is what changes are judged by, and a yardstick that moved some seconds after a track began
would look like one more change. `tuned_chroma` is for people, reports and the key.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from streamseg.engine.features.columns import COLUMNS
from streamseg.engine.features.filterbanks import BIN_HZ, FilterBank, Floats, Ints, chroma_filters, make_filter_bank
from streamseg.engine.kernels import subkernel
from streamseg.settings import FRAMES_PER_SECOND

LOWEST_BIN, HIGHEST_BIN = int(300.0 / BIN_HZ), int(2_500.0 / BIN_HZ)  # below, neighbouring notes are one peak
MIN_RELATIVE_MAGNITUDE: Final = 0.03  # of the frame's strongest partial
MIN_MAGNITUDE: Final = 0.01  # magnitude of a partial worth hearing (a sine of -94 dB)
MEMORY_S: Final = 10.0
ESTIMATE_HOP: Final = 4  # frames between two looks: as far as frames overlap
FADE: Final = math.exp(-ESTIMATE_HOP / (MEMORY_S * FRAMES_PER_SECOND))
MIN_CONCENTRATION: Final = 0.35  # mean length of the directions: 0 is noise, 1 an organ
MIN_FRAMES: Final = 5.0  # looks' worth of partials before anything is said
STEPS_PER_SEMITONE: Final = 10  # banks a semitone
SWITCH_DISTANCE: Final = 0.08  # semitones the estimate must leave the bank in use before another is taken

TUNING: Final = COLUMNS["tuning_cents"].start

# The state: the sum of directions (re, im), of weights; looks that heard any; the tuning said, that of the bank in use.
RE, IM, WEIGHT, FRAMES, ESTIMATE, ACTIVE_BANK = range(6)
STATE_SIZE: Final = 6


def tuned_filter_banks() -> tuple[FilterBank, Ints, Ints]:
    """The chroma bands for every tenth of a semitone from -0.5 to 0.5.

    Returns all bands, the pitch class of each, and where each tuning's bands begin, STEPS + 2 values.
    """
    each = [
        chroma_filters(step / STEPS_PER_SEMITONE)
        for step in range(-STEPS_PER_SEMITONE // 2, STEPS_PER_SEMITONE // 2 + 1)
    ]
    start = np.concatenate(([0], np.cumsum([len(rows) for rows, _ in each])))
    bank = make_filter_bank([row for rows, _ in each for row in rows])
    return bank, np.concatenate([classes for _, classes in each]), start.astype(np.int64)


@subkernel
def estimate_tuning(magnitude: Floats, counts: Ints, state: Floats, out: Floats) -> int:
    """Write the tuning of the last seconds, cents; what was said last where nothing tonal is heard.

    Returns the step, of STEPS a semitone, whose bank is in use.

    A partial's frequency comes from its peak and the larger neighbour, exact for a sine under the Hann window
    (Grandke 1983). counts[1]: frames so far.
    """
    if counts[1] % ESTIMATE_HOP:
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
            aside = (2.0 * ratio - 1.0) / (ratio + 1.0)
            hz = (k + (aside if right > left else -aside)) * BIN_HZ
            turn = 2.0 * math.pi * 12.0 * math.log2(hz / 440.0)
            re += here * math.cos(turn)
            im += here * math.sin(turn)
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
        away = abs(state[ESTIMATE] - state[ACTIVE_BANK])
        if min(away, 1.0 - away) > SWITCH_DISTANCE:  # a quarter-tone up is one down: it must not flicker between them
            state[ACTIVE_BANK] = round(state[ESTIMATE] * STEPS_PER_SEMITONE) / STEPS_PER_SEMITONE
    out[TUNING] = 100.0 * state[ESTIMATE]
    return round(float(state[ACTIVE_BANK]) * STEPS_PER_SEMITONE)
