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
from streamseg.engine.features.filterbanks import BIN_HZ, Bank, Floats, Ints, banked, chroma_rows
from streamseg.engine.kernel import part
from streamseg.settings import FRAMES_PER_SECOND

LOWEST_BIN, HIGHEST_BIN = int(300.0 / BIN_HZ), int(2_500.0 / BIN_HZ)  # below, neighbouring notes are one peak
STRONG: Final = 0.03  # of the frame's strongest partial
LEAST: Final = 0.01  # magnitude of a partial worth hearing (a sine of -94 dB)
MEMORY_S: Final = 10.0
EVERY: Final = 4  # frames between two looks: as far as frames overlap
FADE: Final = math.exp(-EVERY / (MEMORY_S * FRAMES_PER_SECOND))
AGREEING: Final = 0.35  # mean length of the directions: 0 is noise, 1 an organ
HEARD: Final = 5.0  # looks' worth of partials before anything is said
STEPS: Final = 10  # banks a semitone
MOVED: Final = 0.08  # semitones the estimate must leave the bank in use before another is taken

TUNING: Final = COLUMNS["tuning_cents"].start

# The state: the sum of directions (re, im), of weights; looks that heard any; the tuning said, that of the bank in use.
RE, IM, WEIGHT, FRAMES, SAID, USED = range(6)
STATE: Final = 6


def tuned_banks() -> tuple[Bank, Ints, Ints]:
    """The chroma bands for every tenth of a semitone from -0.5 to 0.5.

    Returns all bands, the pitch class of each, and where each tuning's bands begin, STEPS + 2 values.
    """
    each = [chroma_rows(step / STEPS) for step in range(-STEPS // 2, STEPS // 2 + 1)]
    start = np.concatenate(([0], np.cumsum([len(rows) for rows, _ in each])))
    bank = banked([row for rows, _ in each for row in rows])
    return bank, np.concatenate([classes for _, classes in each]), start.astype(np.int64)


@part
def tuning(magnitude: Floats, counts: Ints, state: Floats, out: Floats) -> int:
    """Write the tuning of the last seconds, cents; what was said last where nothing tonal is heard.

    Returns the step, of STEPS a semitone, whose bank is in use.

    A partial's frequency comes from its peak and the larger neighbour, exact for a sine under the Hann window
    (Grandke 1983). counts[1]: frames so far.
    """
    if counts[1] % EVERY:
        out[TUNING] = 100.0 * state[SAID]
        return round(float(state[USED]) * STEPS)
    strongest = LEAST
    for k in range(LOWEST_BIN, HIGHEST_BIN):
        strongest = max(strongest, magnitude[k])
    least = STRONG * strongest
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
    if state[FRAMES] >= HEARD and math.hypot(state[RE], state[IM]) >= AGREEING * state[WEIGHT]:
        state[SAID] = math.atan2(state[IM], state[RE]) / (2.0 * math.pi)
        away = abs(state[SAID] - state[USED])
        if min(away, 1.0 - away) > MOVED:  # a quarter-tone up is one down: it must not flicker between them
            state[USED] = round(state[SAID] * STEPS) / STEPS
    out[TUNING] = 100.0 * state[SAID]
    return round(float(state[USED]) * STEPS)
