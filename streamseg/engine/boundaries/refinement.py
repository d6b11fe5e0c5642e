"""Refinement finds the frame at which the sound changed, from the texture step of a boundary.

The tracker locates a boundary to about a second. Here each frame within SEARCH_FRAMES of it is a candidate, described
by how much timbre, harmony, contrast, spectrum and bass differ just before and just after it (over four spans), by the
onset strength and by changes of level, each as it is and relative to the other candidates. A linear model, trained as a
conditional logit (McFadden 1974) on annotated boundaries, estimates the probability of each frame. The boundary is the
mean frame of the cluster that holds most probability. `tools.training.refinement_training` trains the model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.row_buffer import RowBuffer
from streamseg.engine.features.texture import TEXTURE_MEAN, TEXTURE_STD
from streamseg.engine.models.loader import load_shipped_arrays
from streamseg.settings import FRAMES_PER_SECOND

REFINEMENT_WEIGHTS = load_shipped_arrays("refinement")["weights"]
SEARCH_FRAMES = round(1.5 * FRAMES_PER_SECOND)  # to either side of the coarse frame
_SPANS = tuple(round(s * FRAMES_PER_SECOND) for s in (0.3, 0.6, 1.2, 2.5))  # compared on either side of a frame
_MAX_SPAN = _SPANS[-1]
_LEVEL_SPANS = (8, 22, 43)
_CLUSTER_FRAMES = round(0.4 * FRAMES_PER_SECOND)  # half the width of a cluster

_MFCC, _CHROMA, _CONTRAST, _LOG_MEL = (COLUMNS[name] for name in ("mfcc", "chroma", "contrast", "log_mel"))
_LOG_MEL_MEAN_DB, _LOG_MEL_STD_DB = -45.0, 14.0
_BASS = slice(0, 12)
_REFINEMENT_COLUMNS = slice(_MFCC.start, COLUMNS["rms_db"].stop)  # these four, onset and level lie side by side
_N_REFINEMENT_COLUMNS = _REFINEMENT_COLUMNS.stop - _REFINEMENT_COLUMNS.start
_COLUMN_GROUPS = {"mfcc": slice(0, 20), "chroma": slice(20, 32), "contrast": slice(32, 39), "log_mel": slice(39, 103)}


class RefinedFrame(NamedTuple):
    """The frame number at which a boundary was located, and the standard deviation `std` of that number, in frames."""

    frame: int
    std: float


class BoundaryRefiner:
    """Stores recent feature frames, and finds the exact frame of a boundary near a coarse estimate of the frame."""

    def __init__(self, lookback_s: float) -> None:
        """lookback_s: how many seconds back a boundary may lie, which determines how many frames are stored."""
        capacity = round(lookback_s * FRAMES_PER_SECOND) + 2 * (SEARCH_FRAMES + _MAX_SPAN)
        self._frames = RowBuffer(_N_REFINEMENT_COLUMNS, capacity, np.float32)
        self._frames_pushed = 0

    def store_frames(self, frames: NDArray[np.float64]) -> None:
        """Store the next feature frames, shape (n, COLUMNS_TOTAL), for `refine_boundary`; drop those too old for it."""
        self._frames.extend(len(frames))[:] = frames[:, _REFINEMENT_COLUMNS]
        self._frames_pushed += len(frames)

    def refine_boundary(self, coarse_frame: int) -> RefinedFrame:
        """Return the likeliest frame of the boundary within 1.5 s of `coarse_frame`, and its standard deviation.

        Frames are numbered from 0, the first one pushed. Returns `coarse_frame` itself where too few frames are stored.
        """
        first = self._frames_pushed - len(self._frames)
        low = max(coarse_frame - SEARCH_FRAMES, first + 1)
        high = min(coarse_frame + SEARCH_FRAMES, self._frames_pushed - 2)
        if high - low < _CLUSTER_FRAMES:
            return RefinedFrame(coarse_frame, float(SEARCH_FRAMES))
        begin, end = max(first, low - _MAX_SPAN), min(self._frames_pushed, high + 1 + _MAX_SPAN)
        curves = compute_difference_curves(self._frames.rows[begin - first : end - first].astype(np.float64))
        candidates = np.arange(low, high + 1)
        inputs = describe_candidate_frames(curves[low - begin : high + 1 - begin], candidates - coarse_frame)
        logits = inputs @ REFINEMENT_WEIGHTS
        probability = np.exp(logits - logits.max())
        probability /= probability.sum()
        centre = int(np.argmax(np.convolve(probability, np.ones(2 * _CLUSTER_FRAMES + 1), "same")))
        cluster = slice(max(0, centre - _CLUSTER_FRAMES), centre + _CLUSTER_FRAMES + 1)
        weights = probability[cluster] / probability[cluster].sum()
        std = float(np.sqrt(probability @ (candidates - probability @ candidates) ** 2))
        return RefinedFrame(round(float(weights @ candidates[cluster])), std)


def select_refinement_columns(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return those columns of feature frames, shape (n, COLUMNS_TOTAL), that locate boundaries: shape (n, columns)."""
    return frames[:, _REFINEMENT_COLUMNS]


def compute_difference_curves(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much the sound just before each frame differs from that just after it, shape (n, curves).

    frames: as `select_refinement_columns` returns them, shape (n, columns). Each curve is for one group of features and
    one span, or for onset or level. Values are about 0 to 5; those of level have a sign.
    """
    mfcc = (frames[:, _COLUMN_GROUPS["mfcc"]] - TEXTURE_MEAN[:20]) / TEXTURE_STD[:20]
    chroma = (frames[:, _COLUMN_GROUPS["chroma"]] - TEXTURE_MEAN[20:32]) / TEXTURE_STD[20:32]
    contrast = (frames[:, _COLUMN_GROUPS["contrast"]] - TEXTURE_MEAN[32:39]) / TEXTURE_STD[32:39]
    spectrum = np.clip((frames[:, _COLUMN_GROUPS["log_mel"]] - _LOG_MEL_MEAN_DB) / _LOG_MEL_STD_DB, -4, 4)
    groups = (slice(0, 20), slice(20, 32), slice(32, 39), slice(39, 103), slice(39 + _BASS.start, 39 + _BASS.stop))
    sums = _running_sums(np.hstack([mfcc, chroma, contrast, spectrum]))
    squares = [_mean_step(sums, span) ** 2 for span in _SPANS]
    columns = [np.sqrt(square[:, group].mean(axis=1)) for group in groups for square in squares]
    onset = frames[:, -2] / 10.0
    columns += [onset, _local_maximum(onset, 4), _local_maximum(onset, 10)]
    level = _running_sums(np.clip(frames[:, -1:], -70, 0) / 6.0)
    columns += [_mean_step(level, span)[:, 0] for span in _LEVEL_SPANS]
    return np.column_stack(columns)


def describe_candidate_frames(curve_rows: NDArray[np.float64], offsets: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return the inputs of the linear model that scores n candidate frames of a boundary, shape (n, features).

    They are the curves, raw and relative to their mean and to their maximum, and the offsets. curve_rows: rows of
    `compute_difference_curves`, shape (n, curves). offsets: frames from the coarse frame, shape (n,).
    """
    std = curve_rows.std(axis=0) + 1e-2
    seconds = np.abs(offsets)[:, None] / FRAMES_PER_SECOND
    to_mean = (curve_rows - curve_rows.mean(axis=0)) / std
    to_maximum = (curve_rows - curve_rows.max(axis=0)) / std
    return np.hstack([curve_rows, to_mean, to_maximum, seconds**2, seconds])


def _running_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row i is the sum of the rows before i; one row more than `values`."""
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _mean_step(sums: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Mean of the `span` rows from each row on, minus the mean of those before it; of fewer rows at the ends."""
    n = len(sums) - 1
    rows = np.arange(n)
    first, end = np.maximum(rows - span, 0), np.minimum(rows + span, n)
    before = (sums[:-1] - sums[first]) / np.maximum(rows - first, 1)[:, None]
    step: NDArray[np.float64] = (sums[end] - sums[:-1]) / (end - rows)[:, None] - before
    return step


def _local_maximum(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The maximum of the values within `reach` of each."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, constant_values=-np.inf), 2 * reach + 1)
    largest: NDArray[np.float64] = windows.max(axis=1)
    return largest
