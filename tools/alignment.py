"""Where in a capture lies what was played, and whether all of it is there."""

import numpy as np
from scipy.signal import fftconvolve

ROUNDING = 1 / 32_000  # what 16 bits leave
START_UP_S = 0.5  # the player's first buffers may fall before the card runs


def start_of(played, captured, rate):
    """The sample of the capture at which the first sample played stands. Both float32, shape (n, channels)."""
    piece = slice(round(START_UP_S * rate), round((START_UP_S + 8) * rate))
    return int(np.argmax(fftconvolve(captured[:, 0], played[piece, 0][::-1], mode="valid"))) - piece.start


def differing(played, captured, start, rate):
    """How many samples of what was played are not found, unchanged, at their place in the capture."""
    settled = round(START_UP_S * rate)
    heard = captured[start + settled : start + len(played)]
    wanted = played[settled:]
    wrong = np.abs(heard - wanted[: len(heard)]).max(axis=1) > ROUNDING
    return int(np.count_nonzero(wrong)) + len(wanted) - len(heard)
