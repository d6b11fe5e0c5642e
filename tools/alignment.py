"""Finds played sound in a capture and counts lost or changed samples."""

import numpy as np
from scipy.signal import fftconvolve

ROUNDING = 1 / 32_000  # what 16 bits leave
START_UP_S = 0.5  # the player's first buffers may fall before the card runs


def find_start(played, captured, rate):
    """Return the sample of the capture at which the played sound starts; both float32, shape (n, channels)."""
    piece = slice(round(START_UP_S * rate), round((START_UP_S + 8) * rate))
    return int(np.argmax(fftconvolve(captured[:, 0], played[piece, 0][::-1], mode="valid"))) - piece.start


def count_differing(played, captured, start, rate):
    """Count the played samples that are missing or changed in the capture."""
    settled = round(START_UP_S * rate)
    heard = captured[start + settled : start + len(played)]
    wanted = played[settled:]
    wrong = np.abs(heard - wanted[: len(heard)]).max(axis=1) > ROUNDING
    return int(np.count_nonzero(wrong)) + len(wanted) - len(heard)
