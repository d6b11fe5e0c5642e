"""Where a capture lies in what was played, moment by moment: lost or added samples show as a jump."""

import numpy as np
from scipy.signal import fftconvolve

_PIECE_S = 0.25
_SEARCH_S = 0.5


def first_sound(samples, threshold=0.02):
    """The first sample louder than that, in the first channel."""
    loud = np.flatnonzero(np.abs(samples[:, 0]) > threshold)
    assert len(loud), "nothing was heard"
    return int(loud[0])


def offsets(played, captured, rate):
    """For every quarter of a second of the capture, where it stands in what was played, minus where it stands here.

    Both float32, shape (n, channels). What was played must be unlike itself at every moment.
    """
    piece, search = round(_PIECE_S * rate), round(_SEARCH_S * rate)
    start = first_sound(captured)
    expected = first_sound(played) - start
    found = []
    for at in range(start + piece, len(captured) - piece, piece):
        lowest = max(0, at + expected - search)
        there = played[lowest : at + expected + piece + search, 0]
        here = captured[at : at + piece, 0]
        if len(there) < piece or lowest + len(there) >= len(played) or np.abs(here).max() < 0.02:
            continue
        correlation = fftconvolve(there, here[::-1], mode="valid")
        expected = lowest + int(np.argmax(correlation)) - at
        found.append(expected)
    return np.array(found)
