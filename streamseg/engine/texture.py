"""Texture: what the sound was like over the last second, about twice a second.

A texture vector is the mean of timbre, harmony and contrast over `SPAN` frames, the deviation of timbre and contrast,
and mean and deviation of level, onsets, flatness and zero crossings; standardised with fixed statistics of a training
corpus (never with the stream's own: a running standardisation would let the future change the past's meaning) and
clipped. The periodicity of the onsets goes along as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.engine.periodicity import PERIODICITY_DIMS, PERIODICITY_FRAMES, periodicity
from streamseg.settings import FRAMES_PER_SECOND

HOP_FRAMES = 21
SPAN_FRAMES = 43
STEP_S = HOP_FRAMES / FRAMES_PER_SECOND
_CLIP = 5.0  # standard deviations; beyond it a dimension says "very different", and how much is noise

_TEXTURE = np.r_[COLUMNS["mfcc"], COLUMNS["chroma"], COLUMNS["contrast"]]
_LEVEL = np.r_[COLUMNS["rms_db"], COLUMNS["onset"], COLUMNS["flatness"], COLUMNS["zero_crossing_rate"]]
_MEANS = np.r_[_TEXTURE, _LEVEL]
_DEVIATING = np.r_[0:20, 32:39]

# A vector is TEXTURE_DIMS of texture, LEVEL_DIMS of level, PERIODICITY_DIMS of periodicity.
TEXTURE_DIMS = len(_TEXTURE) + len(_DEVIATING)
LEVEL_DIMS = 2 * len(_LEVEL)
STANDARDISED_DIMS = TEXTURE_DIMS + LEVEL_DIMS
VECTOR_DIMS = STANDARDISED_DIMS + PERIODICITY_DIMS
_ONSET = len(_TEXTURE) + 1  # among the means

# Where each kind of evidence lies in a vector.
TIMBRE = np.r_[0:20, 32:39]
HARMONY = np.r_[20:32]
RHYTHM = np.r_[39:TEXTURE_DIMS]
LEVEL = np.r_[TEXTURE_DIMS : TEXTURE_DIMS + 1]


class Texture:
    """Frames in, texture vectors out; the same vectors however the frames are cut."""

    def __init__(self) -> None:
        self._past = np.zeros((PERIODICITY_FRAMES, len(_MEANS)))
        self._wanted = SPAN_FRAMES  # frames still missing until the next vector is due

    def push(self, frames: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
        """Take feature frames, shape (n, columns), and return the vectors that became due.

        Each vector, shape (VECTOR_DIMS,), comes with the index in `frames` of the last frame it has heard.
        """
        joined = np.concatenate([self._past, frames[:, _MEANS]])
        first = len(self._past)
        due = []
        end = first + self._wanted
        while end <= len(joined):
            vector = standardised(_raw(joined[end - SPAN_FRAMES : end]))
            pulse = periodicity(np.ascontiguousarray(joined[end - PERIODICITY_FRAMES : end, _ONSET]))
            due.append((end - 1 - first, np.concatenate([vector, pulse])))
            end += HOP_FRAMES
        self._wanted = end - len(joined)
        self._past = joined[len(joined) - PERIODICITY_FRAMES :].copy()
        return due


def _raw(window: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = window.mean(axis=0)
    deviation = np.sqrt(((window - mean) ** 2).mean(axis=0))
    texture = len(_TEXTURE)
    return np.concatenate([mean[:texture], deviation[_DEVIATING], mean[texture:], deviation[texture:]])


def standardised(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw vectors, shape (…, STANDARDISED_DIMS), in deviations from the mean of the training corpus."""
    vectors: NDArray[np.float64] = np.clip((raw - MEAN) / DEVIATION, -_CLIP, _CLIP)
    return vectors
