"""Placing: a second look at the fine features, to say at which frame the sound changed.

The partition knows a change to about half a second. Here the frame is sought, near that, at which the means of
the frames just before and just after differ most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.settings import FRAMES_PER_SECOND, Settings

_COLUMNS = np.r_[COLUMNS["mfcc"], COLUMNS["chroma"]]
_MEAN, _DEVIATION = MEAN[:32], DEVIATION[:32]
_SEARCH = round(1.5 * FRAMES_PER_SECOND)  # frames to either side of the coarse place
_SPAN = round(2.0 * FRAMES_PER_SECOND)  # frames compared on either side of a place


class Placing:
    """Frames in; for a coarse frame number, the exact one."""

    def __init__(self, settings: Settings) -> None:
        self._capacity = round(settings.lookback_s * FRAMES_PER_SECOND) + 2 * (_SEARCH + _SPAN)
        self._frames = np.zeros((2 * self._capacity, len(_COLUMNS)))
        self._held = 0
        self._heard = 0  # frames since the start; the last one held has number _heard - 1

    def push(self, frames: NDArray[np.float64]) -> None:
        """Keep feature frames, shape (n, columns); n must not exceed the capacity."""
        n = len(frames)
        if self._held + n > len(self._frames):
            keep = self._capacity
            self._frames[:keep] = self._frames[self._held - keep : self._held].copy()
            self._held = keep
        self._frames[self._held : self._held + n] = (frames[:, _COLUMNS] - _MEAN) / _DEVIATION
        self._held += n
        self._heard += n

    def place(self, coarse: int) -> tuple[int, int]:
        """The frame at which the change lies that is somewhere near frame `coarse`, and its uncertainty in frames."""
        first = self._heard - self._held
        low = max(coarse - _SEARCH, first + _SPAN // 4)
        high = min(coarse + _SEARCH, self._heard - _SPAN // 4)
        if high <= low:
            return coarse, _SEARCH
        begin = max(first, low - _SPAN)
        window = self._frames[begin - first : min(self._heard, high + _SPAN) - first]
        sums = np.concatenate([np.zeros((1, window.shape[1])), window.cumsum(axis=0)])
        places = np.arange(low, high + 1) - begin
        left = np.maximum(places - _SPAN, 0)
        right = np.minimum(places + _SPAN, len(window))
        n_before, n_after = (places - left)[:, None], (right - places)[:, None]
        before = (sums[places] - sums[left]) / n_before
        after = (sums[right] - sums[places]) / n_after
        # Ward's criterion: what a split here takes off the scatter.
        contrast = (n_before * n_after / (n_before + n_after))[:, 0] * ((after - before) ** 2).sum(axis=1)
        best = int(np.argmax(contrast))
        near = np.flatnonzero(contrast >= 0.9 * contrast[best])
        return low + best, max(1, int(near[-1] - near[0]) // 2)
