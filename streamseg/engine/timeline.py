"""Stream time: converts counts of samples, frames and texture steps to seconds.

A stream is a sequence of stretches; each gap ends a stretch and starts the next one. In a stretch, frame i covers
the engine-rate samples from i * HOP to i * HOP + FRAME - 1, and texture vector k is computed from the SPAN_FRAMES
frames from k * HOP_FRAMES on. A boundary at step k lies between texture vectors k - 1 and k, in the middle of the
frames that belong to one of them only.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HOP_FRAMES, SPAN_FRAMES
from streamseg.settings import ENGINE_RATE, FRAME, HOP

_MAX_STRETCHES = 64
_FIRST_FRAME = (SPAN_FRAMES - HOP_FRAMES) // 2  # of a boundary at step 0
_FRAME_OFFSET = (FRAME - HOP) // 2  # samples from the start of a frame to the boundary before that frame


class Stretch(NamedTuple):
    """A part of the stream without a gap: the number of its first texture step, and its start in stream seconds."""

    first_step: int
    start: float


class Timeline:
    """Counts the samples, frames and texture steps of one stream, and gives the stream time of each."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the source, Hz."""
        self.sample_rate = sample_rate
        self._samples = self._missing_samples = 0  # per channel, at the source's rate; `_samples` includes the missing
        self._steps = 0
        self._stretches: deque[Stretch] = deque(maxlen=_MAX_STRETCHES)
        self.start_stretch()

    @property
    def samples(self) -> int:
        """Samples per channel so far, those missing in gaps included."""
        return self._samples

    @property
    def now(self) -> float:
        """Stream time after the last sample, seconds, rounded to microseconds as events state it."""
        return round(self._samples / self.sample_rate, 6)

    @property
    def missing_s(self) -> float:
        """Seconds lost in gaps, rounded to microseconds."""
        return round(self._missing_samples / self.sample_rate, 6)

    @property
    def received_s(self) -> float:
        """Seconds of sound received, gaps excluded, rounded to microseconds."""
        return round((self._samples - self._missing_samples) / self.sample_rate, 6)

    @property
    def stretch_start(self) -> float:
        """Stream time at which the current stretch started, seconds."""
        return self._stretches[-1].start

    @property
    def decision_time(self) -> float:
        """Stream time of the last sample that decisions rest on now: the end of the newest frame."""
        return self.frame_end(self._frames - 1)

    def push_samples(self, n: int) -> None:
        """Count n samples per channel at the source's rate."""
        self._samples += n

    def push_gap(self, n: int) -> None:
        """Count n missing samples per channel at the source's rate. The caller then starts a stretch."""
        self._samples += n
        self._missing_samples += n

    def push_frames(self, n: int) -> int:
        """Count n frames; returns the number of the first of them in this stretch."""
        self._frames += n
        return self._frames - n

    def push_step(self) -> None:
        """Count one texture vector."""
        self._steps += 1

    def start_stretch(self, *, restart: bool = False) -> float:
        """Start a stretch now; returns its start in stream seconds. restart: count steps from 0 again."""
        if restart:
            self._steps = 0
            self._stretches.clear()
        self._stretches.append(Stretch(self._steps, self._samples / self.sample_rate))
        self._frames = 0
        return self.stretch_start

    def frame_end(self, frame: int) -> float:
        """Stream time at which a frame of this stretch ends, rounded to microseconds."""
        return round(self.stretch_start + (frame * HOP + FRAME) / ENGINE_RATE, 6)

    def step_at(self, t: float) -> int:
        """The step of a boundary at stream time t."""
        stretch = next((each for each in reversed(self._stretches) if each.start <= t), self._stretches[0])
        frame = (t - stretch.start) * ENGINE_RATE / HOP
        return stretch.first_step + max(0, round((frame - _FIRST_FRAME) / HOP_FRAMES))

    def locate_step(self, step: int) -> tuple[float, int]:
        """The stretch in which a boundary at this step lies, by its start, and the boundary's frame there."""
        stretch = next((each for each in reversed(self._stretches) if each.first_step <= step), self._stretches[0])
        return stretch.start, _FIRST_FRAME + (step - stretch.first_step) * HOP_FRAMES


def boundary_time(stretch_start: float, frame: int) -> float:
    """Stream time of a boundary before a frame of the stretch that starts at `stretch_start`."""
    return stretch_start + max(0, frame * HOP + _FRAME_OFFSET) / ENGINE_RATE


def step_to_time(step: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Stream seconds of a boundary at `step`, in a stream without gaps; the shape of `step`."""
    seconds: NDArray[np.float64] = ((_FIRST_FRAME + np.asarray(step) * HOP_FRAMES) * HOP + _FRAME_OFFSET) / ENGINE_RATE
    return seconds


def step_end_time(step: int) -> float:
    """Stream seconds at which the texture vector before `step` is complete, in a stream without gaps."""
    return float(((SPAN_FRAMES - 1 + (step - 1) * HOP_FRAMES) * HOP + FRAME) / ENGINE_RATE)
