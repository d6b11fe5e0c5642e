"""Detects silence, a low level that lasts, in the levels of frames. A pause in talk or a decay is not silence.

A low level becomes silence when it has been steady for longer than practised speakers pause, or when it has lasted
`dead_air_s`, steady or not. Silence begins at the frame where the level became steady. A click does not end it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP, Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STEADY_S: Final = 2.35  # pauses of practised speakers are shorter
_STEADY_DB: Final = 4.0  # the most that a frame of a steady level differs from its mean
_MEAN_FRAMES: Final = 20.0  # over which that mean runs, at the most
_MIN_LOUD_FRAMES: Final = 8  # that end a silence; a click is shorter
_MIN_SILENT_FRAMES: Final = 4  # after which a click is over


class SilenceState(NamedTuple):
    """What the silence detector stores between frames; frame numbers count from the last gap."""

    is_silent: Flags  # bool (1,)
    frames_pushed: Ints  # int64 (1,)
    low_level_since: Ints  # int64 (1,) the first frame of the low level, -1 while the level is not low
    steady_since: Ints  # int64 (1,) the first frame of the steady part of it
    mean_db: Floats  # float64 (1,) running mean of the steady part, dB
    loud_since: Ints  # int64 (1,) the first loud frame within a silence
    loud_count: Ints  # int64 (1,) loud frames since then
    silent_count: Ints  # int64 (1,) low frames since the last loud one


class SilenceChange(NamedTuple):
    """A start or an end of silence that the silence detector found.

    is_silent: whether it began. t: time of the change, seconds since the start of the stretch. frame: number of the
    frame with which it was decided.
    """

    is_silent: bool
    t: float
    frame: int


@kernel
def _update_silence(levels_db: Floats, silence_db: float, steady: int, longest: int, state: SilenceState) -> int:
    """Process levels until silence begins or ends; return how many, negative where it did with the last of them.

    levels_db: float64 (n,), RMS of each frame. silence_db: a level below it is low.
    steady, longest: frames after which a steady, and any, low level is silence.
    """
    for i in range(levels_db.size):
        level, frame = levels_db[i], state.frames_pushed[0]
        state.frames_pushed[0] += 1
        is_low = level < silence_db
        if not is_low:
            state.low_level_since[0] = -1
        elif state.low_level_since[0] < 0:
            state.low_level_since[0] = frame
            state.steady_since[0], state.mean_db[0] = frame, level
        elif abs(level - state.mean_db[0]) > _STEADY_DB:
            state.steady_since[0], state.mean_db[0] = frame, level
        else:
            state.mean_db[0] += (level - state.mean_db[0]) / min(_MEAN_FRAMES, frame - state.steady_since[0] + 1.0)
        if not state.is_silent[0]:
            is_steady = is_low and frame + 1 - state.steady_since[0] >= steady
            if is_steady or (is_low and frame + 1 - state.low_level_since[0] >= longest):
                if not is_steady:
                    state.steady_since[0] = state.low_level_since[0]
                state.is_silent[0], state.loud_count[0], state.silent_count[0] = True, 0, 0
                return -(i + 1)
        elif is_low:
            state.silent_count[0] += 1
            if state.silent_count[0] >= _MIN_SILENT_FRAMES:
                state.loud_count[0] = 0
        else:
            if state.loud_count[0] == 0:
                state.loud_since[0] = frame
            state.loud_count[0] += 1
            state.silent_count[0] = 0
            if state.loud_count[0] >= _MIN_LOUD_FRAMES:
                state.is_silent[0] = False
                return -(i + 1)
    return levels_db.size


class SilenceDetector:
    """Detects when silence begins and ends, from the level of each frame.

    Can be pickled between pushes.
    """

    def __init__(self, settings: Settings) -> None:
        """settings: `silence_db` and `dead_air_s` are used."""
        self._silence_db = settings.silence_db
        self._steady = round(STEADY_S * FRAMES_PER_SECOND)
        self._longest = max(self._steady, round(settings.dead_air_s * FRAMES_PER_SECOND))
        self._state = SilenceState(
            is_silent=np.zeros(1, np.bool_),
            frames_pushed=np.zeros(1, np.int64),
            low_level_since=np.zeros(1, np.int64),
            steady_since=np.zeros(1, np.int64),
            mean_db=np.zeros(1),
            loud_since=np.zeros(1, np.int64),
            loud_count=np.zeros(1, np.int64),
            silent_count=np.zeros(1, np.int64),
        )
        self.continue_after_gap()

    def continue_after_gap(self) -> None:
        """Prepare for frames after a gap: count frames from 0 again; a silence continues until its end is detected."""
        is_silent = self.is_silent
        for array in self._state:
            array[0] = 0
        self._state.is_silent[0], self._state.low_level_since[0] = is_silent, -1

    @property
    def is_silent(self) -> bool:
        """Whether silence was detected and has not ended yet."""
        return bool(self._state.is_silent[0])

    @property
    def low_level_since(self) -> float | None:
        """When the level became low, in seconds since the last gap or the stream's start; None if it is not low."""
        frame = int(self._state.low_level_since[0])
        return None if frame < 0 else frame * HOP / ENGINE_RATE

    def push(self, levels_db: Floats) -> list[SilenceChange]:
        """Process the RMS levels of n frames, float64 (n,), dBFS; return the detected starts and ends of silence."""
        changes = []
        at = 0
        while at < len(levels_db):
            n = _update_silence(levels_db[at:], self._silence_db, self._steady, self._longest, self._state)
            at += abs(n)
            if n < 0:
                state = self._state
                # The first low frame begins where the sound ended; the first loud one ends where it begins.
                sample = state.steady_since[0] * HOP if self.is_silent else state.loud_since[0] * HOP + FRAME - HOP / 2
                frame = int(state.frames_pushed[0]) - 1
                changes.append(SilenceChange(self.is_silent, float(sample) / ENGINE_RATE, frame))
        return changes
