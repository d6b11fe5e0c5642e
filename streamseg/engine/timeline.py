"""Converts counts of samples, frames and texture steps to stream time in seconds.

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
    """A part of the stream between two gaps.

    first_step: number of its first texture vector. start: its start, in stream seconds.
    """

    first_step: int
    start: float


class FramePosition(NamedTuple):
    """Position of a feature frame: its stretch (part of the stream between two gaps) and its number in the stretch.

    stretch_start: stream seconds.
    """

    stretch_start: float
    frame: int


class Timeline:
    """Counts samples, feature frames and texture vectors of one stream, and converts such counts to stream time."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the source, Hz."""
        self.sample_rate = sample_rate
        self._samples = self._missing_samples = 0  # per channel, at the source's rate; `_samples` includes the missing
        self._steps = 0
        self._stretches: deque[Stretch] = deque(maxlen=_MAX_STRETCHES)
        self.start_stretch()

    @property
    def position_samples(self) -> int:
        """Number of samples per channel so far, including those missing in gaps."""
        return self._samples

    @property
    def now(self) -> float:
        """Stream time after the last sample, in seconds, rounded to microseconds as in events."""
        return round(self._samples / self.sample_rate, 6)

    @property
    def missing_s(self) -> float:
        """Seconds of sound missing in gaps so far, rounded to microseconds."""
        return round(self._missing_samples / self.sample_rate, 6)

    @property
    def received_s(self) -> float:
        """Seconds of sound received so far, gaps excluded, rounded to microseconds."""
        return round((self._samples - self._missing_samples) / self.sample_rate, 6)

    @property
    def stretch_start(self) -> float:
        """Stream time, in seconds, at which the current stretch (part between two gaps) started."""
        return self._stretches[-1].start

    @property
    def decision_time(self) -> float:
        """Stream time of the end of the newest frame, in seconds: decisions made now depend on no later sample."""
        return self.frame_end_time(self._frames - 1)

    def push_samples(self, n: int) -> None:
        """Count n more samples per channel, at the source's rate."""
        self._samples += n

    def push_gap(self, n: int) -> None:
        """Count n missing samples per channel, at the source's rate; the caller must call `start_stretch` next."""
        self._samples += n
        self._missing_samples += n

    def push_frames(self, n: int) -> int:
        """Count n more feature frames; return the number of the first one, counted from 0 in the current stretch."""
        self._frames += n
        return self._frames - n

    def push_step(self) -> None:
        """Count one more texture vector (one each half second)."""
        self._steps += 1

    def start_stretch(self, *, restart_steps: bool = False) -> float:
        """Start a new stretch (part between two gaps) at the present stream time; return this time in seconds.

        restart_steps: also forget the earlier stretches and count texture steps from 0 again.
        """
        if restart_steps:
            self._steps = 0
            self._stretches.clear()
        self._stretches.append(Stretch(self._steps, self._samples / self.sample_rate))
        self._frames = 0
        return self.stretch_start

    def frame_end_time(self, frame: int) -> float:
        """Return the stream time at which a frame of the current stretch ends, in seconds, rounded to microseconds.

        frame: number since the last gap, or since the start of the stream, from 0.
        """
        return round(self.stretch_start + (frame * HOP + FRAME) / ENGINE_RATE, 6)

    def nearest_step(self, t: float) -> int:
        """Return the number of the texture step (each half a second) whose boundary is nearest to t, in stream seconds.

        Steps are counted on from the last stretch that began by t, so the number may lie beyond the newest step.
        """
        stretch = next((each for each in reversed(self._stretches) if each.start <= t), self._stretches[0])
        frame = (t - stretch.start) * ENGINE_RATE / HOP
        return stretch.first_step + max(0, round((frame - _FIRST_FRAME) / HOP_FRAMES))

    def locate_step(self, step: int) -> FramePosition:
        """Return the position of the first feature frame after a boundary at this texture step."""
        stretch = next((each for each in reversed(self._stretches) if each.first_step <= step), self._stretches[0])
        return FramePosition(stretch.start, _FIRST_FRAME + (step - stretch.first_step) * HOP_FRAMES)


def boundary_time(stretch_start: float, frame: int) -> float:
    """Return the stream time, in seconds, of a boundary just before a feature frame.

    stretch_start: stream time of the last gap's end, or 0, in seconds. frame: number of the frame since then, from 0.
    """
    return stretch_start + max(0, frame * HOP + _FRAME_OFFSET) / ENGINE_RATE


def step_to_time_without_gaps(step: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the boundary times of texture steps, in seconds, in a stream without gaps; same shape as `step`."""
    seconds: NDArray[np.float64] = ((_FIRST_FRAME + np.asarray(step) * HOP_FRAMES) * HOP + _FRAME_OFFSET) / ENGINE_RATE
    return seconds


def time_after_steps(n_steps: int) -> float:
    """Return the time at which `n_steps` texture vectors are complete, in seconds, in a stream without gaps."""
    return float(((SPAN_FRAMES - 1 + (n_steps - 1) * HOP_FRAMES) * HOP + FRAME) / ENGINE_RATE)
