"""Silence: quiet that is there to stay. A pause in talk is not, and neither is a sound that dies away.

Heard in the level of each frame. Quiet becomes silence when it has kept its own level for longer than people pause,
or when it has lasted as long as dead air must, whatever it did. The beginning is then known to the frame: where the
level settled. A click does not end it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import kernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP, Settings

Floats = NDArray[np.float64]

STEADY_S: Final = 2.35  # pauses of practised speakers are shorter
_STEADY_DB: Final = 4.0  # how far a frame may lie from the level so far
_MIN_LOUD_FRAMES: Final = 8  # that end a silence; a click is shorter
_MIN_SILENT_FRAMES: Final = 4  # after which a click is over

# The state, by place. -1: there is none.
_IS_SILENT, _FRAMES_PUSHED, _SILENT_SINCE, _STEADY_SINCE, _LEVEL, _LOUD_SINCE, _LOUD_COUNT, _SILENT_COUNT = range(8)


class SilenceChange(NamedTuple):
    """Silence began or ended at t, stretch seconds; known with the frame of this number."""

    is_silent: bool
    t: float
    frame: int


@kernel
def _update_silence(levels_db: Floats, silence_db: float, steady: int, longest: int, state: Floats) -> int:
    """Take levels until silence turns; how many were taken, negative when it turned with the last of them."""
    for i in range(levels_db.size):
        level, frame = levels_db[i], state[_FRAMES_PUSHED]
        state[_FRAMES_PUSHED] += 1.0
        silent = level < silence_db
        if not silent:
            state[_SILENT_SINCE] = -1.0
        elif state[_SILENT_SINCE] < 0.0:
            state[_SILENT_SINCE] = frame
            state[_STEADY_SINCE], state[_LEVEL] = frame, level
        elif abs(level - state[_LEVEL]) > _STEADY_DB:
            state[_STEADY_SINCE], state[_LEVEL] = frame, level
        else:
            state[_LEVEL] += (level - state[_LEVEL]) / min(20.0, frame - state[_STEADY_SINCE] + 1.0)
        if state[_IS_SILENT] == 0.0:
            settled = silent and frame + 1.0 - state[_STEADY_SINCE] >= steady
            if settled or (silent and frame + 1.0 - state[_SILENT_SINCE] >= longest):
                if not settled:
                    state[_STEADY_SINCE] = state[_SILENT_SINCE]
                state[_IS_SILENT], state[_LOUD_COUNT], state[_SILENT_COUNT] = 1.0, 0.0, 0.0
                return -(i + 1)
        elif silent:
            state[_SILENT_COUNT] += 1.0
            if state[_SILENT_COUNT] >= _MIN_SILENT_FRAMES:
                state[_LOUD_COUNT] = 0.0
        else:
            if state[_LOUD_COUNT] == 0.0:
                state[_LOUD_SINCE] = frame
            state[_LOUD_COUNT] += 1.0
            state[_SILENT_COUNT] = 0.0
            if state[_LOUD_COUNT] >= _MIN_LOUD_FRAMES:
                state[_IS_SILENT] = 0.0
                return -(i + 1)
    return levels_db.size


class SilenceDetector:
    """Levels of frames in; turns of silence out. Pickles between pushes."""

    def __init__(self, settings: Settings) -> None:
        self._silence_db = settings.silence_db
        self._steady = round(STEADY_S * FRAMES_PER_SECOND)
        self._longest = max(self._steady, round(settings.dead_air_s * FRAMES_PER_SECOND))
        self._state = np.zeros(8)
        self.start_stretch()

    def start_stretch(self) -> None:
        """Frames are counted afresh; what is silent stays so until it is heard to be over."""
        on = self._state[_IS_SILENT]
        self._state[:] = 0.0
        self._state[[_IS_SILENT, _SILENT_SINCE]] = on, -1.0

    @property
    def is_silent(self) -> bool:
        """Whether it is silent."""
        return bool(self._state[_IS_SILENT])

    @property
    def silent_since(self) -> float | None:
        """When the quiet that lasts began, stretch seconds."""
        frame = self._state[_SILENT_SINCE]
        return None if frame < 0 else float(frame * HOP / ENGINE_RATE)

    def push(self, levels_db: Floats) -> list[SilenceChange]:
        """Take the RMS of frames, dB of full scale."""
        turned = []
        at = 0
        while at < len(levels_db):
            taken = _update_silence(levels_db[at:], self._silence_db, self._steady, self._longest, self._state)
            at += abs(taken)
            if taken < 0:
                # The first quiet frame begins where the sound ended; the first loud one ends where it begins.
                frame = (
                    self._state[_STEADY_SINCE] * HOP
                    if self.is_silent
                    else self._state[_LOUD_SINCE] * HOP + FRAME - HOP / 2
                )
                turned.append(
                    SilenceChange(self.is_silent, float(frame) / ENGINE_RATE, int(self._state[_FRAMES_PUSHED]) - 1)
                )
        return turned
