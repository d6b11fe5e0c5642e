"""Computes texture vectors: a summary of the feature frames of the last second, about twice a second.

A texture vector holds the means of timbre, harmony and contrast over SPAN_FRAMES frames, the standard deviations of
timbre and contrast, and the means and standard deviations of level, onsets, flatness and zero crossings; standardised
with fixed statistics of a training corpus (with the stream's own, the same sound would get other vectors later on) and
clipped. The periodicity of the onsets follows, as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.periodicity import PERIODICITY_DIMS, PERIODICITY_FRAMES, compute_periodicity
from streamseg.engine.features.row_buffer import RowBuffer
from streamseg.engine.kernels import kernel
from streamseg.engine.models.loader import load_shipped_arrays
from streamseg.settings import FRAMES_PER_SECOND

HOP_FRAMES = 21
SPAN_FRAMES = 43
STEP_S = HOP_FRAMES / FRAMES_PER_SECOND
_CLIP = 5.0  # standard deviations; how far beyond it a value lies is noise

# Mean and standard deviation of each standardised dimension (card: `models/texture_scaling.md`).
_SCALING = load_shipped_arrays("texture_scaling")
TEXTURE_MEAN, TEXTURE_STD = _SCALING["mean"], _SCALING["std"]

_TEXTURE = np.r_[COLUMNS["mfcc"], COLUMNS["chroma"], COLUMNS["contrast"]]
_LEVEL = np.r_[COLUMNS["rms_db"], COLUMNS["onset"], COLUMNS["flatness"], COLUMNS["zero_crossing_rate"]]
_MEANS = np.r_[_TEXTURE, _LEVEL]
_STD_COLUMNS = np.r_[0:20, 32:39]

# A vector has TEXTURE_DIMS of texture, LEVEL_DIMS of level, PERIODICITY_DIMS of periodicity.
TEXTURE_DIMS = len(_TEXTURE) + len(_STD_COLUMNS)
LEVEL_DIMS = 2 * len(_LEVEL)
STANDARDISED_DIMS = TEXTURE_DIMS + LEVEL_DIMS
VECTOR_DIMS = STANDARDISED_DIMS + PERIODICITY_DIMS
_ONSET = len(_TEXTURE) + 1  # among the buffered columns

# The dimensions of each kind of feature in a vector.
TIMBRE = np.r_[0:20, 32:39]
HARMONY = np.r_[20:32]
RHYTHM = np.r_[39:TEXTURE_DIMS]
LEVEL = np.r_[TEXTURE_DIMS : TEXTURE_DIMS + 1]


@kernel
def copy_columns(frames: NDArray[np.float64], columns: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Copy the columns of `frames` with the given indices to `out`.

    frames: float64 (n, COLUMNS_TOTAL). columns: int64 (k,). out: float64 (n, k).
    """
    for i in range(frames.shape[0]):
        for k in range(columns.size):
            out[i, k] = frames[i, columns[k]]


@kernel
def compute_mean_and_std(window: NDArray[np.float64], std: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
    """Write the mean and the standard deviation of every column of `window` to `mean` and `std`.

    window: float64 (frames, columns). std, mean: float64 (columns,).
    """
    frames, columns = window.shape
    for k in range(columns):
        mean[k] = std[k] = 0.0
    for i in range(frames):
        for k in range(columns):
            mean[k] += window[i, k]
    for k in range(columns):
        mean[k] /= frames
    for i in range(frames):
        for k in range(columns):
            std[k] += (window[i, k] - mean[k]) * (window[i, k] - mean[k])
    for k in range(columns):
        std[k] = np.sqrt(std[k] / frames)


class CompletedVector(NamedTuple):
    """A texture vector, float64 (VECTOR_DIMS,), and the index of its last feature frame among those just pushed."""

    last_frame: int
    vector: NDArray[np.float64]


class TextureExtractor:
    """Computes texture vectors, each a summary of the last second of feature frames, about twice a second.

    The vectors do not depend on how many frames each push has.
    """

    def __init__(self) -> None:
        self._past = RowBuffer(len(_MEANS), PERIODICITY_FRAMES)
        self._past.extend(PERIODICITY_FRAMES)[:] = 0.0  # before the first frame
        self._frames_missing = SPAN_FRAMES  # until the next vector is due

    def push(self, frames: NDArray[np.float64]) -> list[CompletedVector]:
        """Process the next frames, float64 (n, COLUMNS_TOTAL); return the texture vectors that can now be computed."""
        due = []
        at = 0
        while len(frames) - at >= self._frames_missing:
            self._append_frames(frames[at : at + self._frames_missing])
            at += self._frames_missing
            self._frames_missing = HOP_FRAMES
            due.append(CompletedVector(at - 1, self._compute_vector()))
        self._append_frames(frames[at:])
        self._frames_missing -= len(frames) - at
        return due

    def _append_frames(self, frames: NDArray[np.float64]) -> None:
        copy_columns(frames, _MEANS, self._past.extend(len(frames)))

    def _compute_vector(self) -> NDArray[np.float64]:
        past: NDArray[np.float64] = self._past.rows
        std, mean = np.empty((2, len(_MEANS)))
        compute_mean_and_std(past[-SPAN_FRAMES:], std, mean)
        texture = len(_TEXTURE)
        raw = np.concatenate([mean[:texture], std[_STD_COLUMNS], mean[texture:], std[texture:]])
        return np.concatenate([standardise_texture(raw), compute_periodicity(past[:, _ONSET].copy())])


def standardise_texture(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return texture vectors standardised by the mean and standard deviation of the training corpus, clipped to ±5.

    raw: float64 (…, STANDARDISED_DIMS). Returns the same shape.
    """
    vectors: NDArray[np.float64] = np.minimum(np.maximum((raw - TEXTURE_MEAN) / TEXTURE_STD, -_CLIP), _CLIP)
    return vectors
