"""Placing: a second look at the fine features, to say at which frame the sound changed.

The change points know a change to about a second. Here every frame within `SEARCH` of that is a candidate, described
by how much timbre, harmony, contrast, spectrum and bass differ just before and just after it (over four spans), by
onset and by steps of level, each as it is and against its neighbours. A linear model, trained as a conditional logit
(McFadden 1974) on annotated boundaries, gives the probability of each frame; the boundary is put where most
probability lies close together. `tools.training.refinement_training` trains it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import COLUMNS
from streamseg.engine.features.texture import TEXTURE_MEAN, TEXTURE_STD
from streamseg.engine.models.loader import load_arrays
from streamseg.settings import FRAMES_PER_SECOND

REFINEMENT_WEIGHTS = load_arrays("refinement")["weights"]
SEARCH_FRAMES = round(1.5 * FRAMES_PER_SECOND)  # frames to either side of the coarse place
_SPANS = tuple(round(s * FRAMES_PER_SECOND) for s in (0.3, 0.6, 1.2, 2.5))  # compared on either side of a frame
_MAX_SPAN = _SPANS[-1]
_LEVEL_SPANS = (8, 22, 43)
_CLUSTER_FRAMES = round(0.4 * FRAMES_PER_SECOND)  # how close "close together" is

_MFCC, _CHROMA, _CONTRAST, _LOG_MEL = (COLUMNS[name] for name in ("mfcc", "chroma", "contrast", "log_mel"))
_LOG_MEL_MEAN_DB, _LOG_MEL_STD_DB = -45.0, 14.0
_BASS = slice(0, 12)
_REFINEMENT_COLUMNS = slice(_MFCC.start, COLUMNS["rms_db"].stop)  # these four, onset and level lie side by side
_N_REFINEMENT_COLUMNS = _REFINEMENT_COLUMNS.stop - _REFINEMENT_COLUMNS.start
_COLUMN_GROUPS = {"mfcc": slice(0, 20), "chroma": slice(20, 32), "contrast": slice(32, 39), "log_mel": slice(39, 103)}


class BoundaryRefiner:
    """Frames in; for a coarse frame number, the exact one."""

    def __init__(self, lookback_s: float) -> None:
        """lookback_s: how far back a change may be placed."""
        self._capacity = round(lookback_s * FRAMES_PER_SECOND) + 2 * (SEARCH_FRAMES + _MAX_SPAN)
        self._frames = np.zeros((2 * self._capacity, _N_REFINEMENT_COLUMNS), np.float32)
        self._frame_count = 0
        self._frames_pushed = 0  # frames since the start; the last one held has number _heard - 1

    def push(self, frames: NDArray[np.float64]) -> None:
        """Keep feature frames, shape (n, columns); n must not exceed the capacity."""
        n = len(frames)
        if self._frame_count + n > len(self._frames):
            keep = self._capacity
            self._frames[:keep] = self._frames[self._frame_count - keep : self._frame_count].copy()
            self._frame_count = keep
        self._frames[self._frame_count : self._frame_count + n] = frames[:, _REFINEMENT_COLUMNS]
        self._frame_count += n
        self._frames_pushed += n

    def refine_boundary(self, coarse: int) -> tuple[int, float]:
        """The frame at which the change lies that is somewhere near frame `coarse`.

        Returns it with its uncertainty in frames (one standard deviation).
        """
        first = self._frames_pushed - self._frame_count
        low, high = max(coarse - SEARCH_FRAMES, first + 1), min(coarse + SEARCH_FRAMES, self._frames_pushed - 2)
        if high - low < _CLUSTER_FRAMES:
            return coarse, float(SEARCH_FRAMES)
        begin, end = max(first, low - _MAX_SPAN), min(self._frames_pushed, high + 1 + _MAX_SPAN)
        seen = difference_curves(self._frames[begin - first : end - first].astype(np.float64))[
            low - begin : high + 1 - begin
        ]
        offsets = np.arange(low, high + 1) - coarse
        logits = describe_candidates(seen, offsets) @ REFINEMENT_WEIGHTS
        probability = np.exp(logits - logits.max())
        probability /= probability.sum()
        together = np.convolve(probability, np.ones(2 * _CLUSTER_FRAMES + 1), "same")
        centre = int(np.argmax(together))
        near = slice(max(0, centre - _CLUSTER_FRAMES), centre + _CLUSTER_FRAMES + 1)
        weight = probability[near] / probability[near].sum()
        places = np.arange(low, high + 1)
        std = float(np.sqrt(probability @ (places - probability @ places) ** 2))
        return round(float(weight @ places[near])), std


def refinement_columns(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns of feature frames that placing looks at."""
    return frames[:, _REFINEMENT_COLUMNS]


def difference_curves(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """How different the sound is before and after each frame, shape (frames, CURVES); frames as from `kept`."""
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


def describe_candidates(curve_rows: NDArray[np.float64], offsets: NDArray[np.int_]) -> NDArray[np.float64]:
    """What the model is told of each candidate frame: its curves, raw and against its neighbours; its distance."""
    std = curve_rows.std(axis=0) + 1e-2
    seconds = np.abs(offsets)[:, None] / FRAMES_PER_SECOND
    against_mean, against_best = (
        (curve_rows - curve_rows.mean(axis=0)) / std,
        (curve_rows - curve_rows.max(axis=0)) / std,
    )
    return np.hstack([curve_rows, against_mean, against_best, seconds**2, seconds])


def _running_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row i is the sum of the rows before i; one row more than values."""
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _mean_step(sums: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Mean of the `span` rows from each row on, less the mean of those before it; fewer at the ends."""
    n = len(sums) - 1
    at = np.arange(n)
    left, right = np.maximum(at - span, 0), np.minimum(at + span, n)
    before = (sums[:-1] - sums[left]) / np.maximum(at - left, 1)[:, None]
    step: NDArray[np.float64] = (sums[right] - sums[:-1]) / (right - at)[:, None] - before
    return step


def _local_maximum(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    padded = np.pad(values, reach, constant_values=-np.inf)
    largest: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    return largest
