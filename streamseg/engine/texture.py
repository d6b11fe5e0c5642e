"""Texture: what the sound was like over the last second, about twice a second.

A texture vector is the mean of timbre, harmony and contrast over `texture_span_frames` frames and the
deviation of timbre and contrast, standardised with fixed statistics of a training corpus (never with the
stream's own: a running standardisation would let the future change the past's meaning) and clipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.settings import Settings

_CLIP = 5.0  # standard deviations; beyond it a dimension says "very different", and how much is noise

# Where each kind of evidence lies in a texture vector, for the parts of a boundary's evidence.
_MEANS = np.r_[COLUMNS["mfcc"], COLUMNS["chroma"], COLUMNS["contrast"]]
_DEVIATIONS = np.r_[COLUMNS["mfcc"], COLUMNS["contrast"]]
TEXTURE_DIMS = len(_MEANS) + len(_DEVIATIONS)
TIMBRE = np.r_[0:20, 32:39]
HARMONY = np.r_[20:32]
RHYTHM = np.r_[39:TEXTURE_DIMS]


class Texture:
    """Frames in, texture vectors out; the same vectors however the frames are cut."""

    def __init__(self, settings: Settings) -> None:
        self._hop = settings.texture_hop_frames
        self._span = settings.texture_span_frames
        self._past = np.zeros((0, len(_MEANS)))
        self._wanted = self._span  # frames still missing until the next vector is due

    def push(self, frames: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
        """Take feature frames, shape (n, columns), and return the vectors that became due.

        Each vector, shape (TEXTURE_DIMS,), comes with the index in `frames` of the last frame it has heard.
        """
        joined = np.concatenate([self._past, frames[:, _MEANS]])
        first = len(self._past)
        due = []
        end = first + self._wanted
        while end <= len(joined):
            due.append((end - 1 - first, self._vector(joined[end - self._span : end])))
            end += self._hop
        self._wanted = end - len(joined)
        self._past = joined[max(0, len(joined) - self._span) :].copy()
        return due

    def _vector(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = window.mean(axis=0)
        deviation = window.std(axis=0)
        raw = np.concatenate([mean, deviation[:20], deviation[32:39]])
        vector: NDArray[np.float64] = np.clip((raw - MEAN) / DEVIATION, -_CLIP, _CLIP)
        return vector
