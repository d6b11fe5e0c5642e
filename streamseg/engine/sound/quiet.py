"""Silence: quiet that is there to stay. A pause in talk is not, and neither is a sound that dies away.

Heard in the level of each frame. Quiet becomes silence when it has kept its own level for longer than people pause,
or when it has lasted as long as dead air must, whatever it did. The beginning is then known to the frame: where the
level settled. A click does not end it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel
from streamseg.settings import ENGINE_RATE, FRAME, FRAMES_PER_SECOND, HOP, Settings

Floats = NDArray[np.float64]

STEADY_S: Final = 2.35  # pauses of practised speakers are shorter
_STEADY_DB: Final = 4.0  # how far a frame may lie from the level so far
_LOUD_FRAMES: Final = 8  # that end a silence; a click is shorter
_CALM_FRAMES: Final = 4  # after which a click is over

# The state, by place. -1: there is none.
_ON, _FRAME, _QUIET_SINCE, _STEADY_SINCE, _LEVEL, _LOUD_SINCE, _LOUD, _CALM = range(8)


class Turned(NamedTuple):
    """Silence began or ended at t, stretch seconds; known with the frame of this number."""

    on: bool
    t: float
    frame: int


@kernel
def _follow(levels_db: Floats, quiet_db: float, steady: int, longest: int, state: Floats) -> int:
    """Take levels until silence turns; how many were taken, negative when it turned with the last of them."""
    for i in range(levels_db.size):
        level, frame = levels_db[i], state[_FRAME]
        state[_FRAME] += 1.0
        quiet = level < quiet_db
        if not quiet:
            state[_QUIET_SINCE] = -1.0
        elif state[_QUIET_SINCE] < 0.0:
            state[_QUIET_SINCE] = frame
            state[_STEADY_SINCE], state[_LEVEL] = frame, level
        elif abs(level - state[_LEVEL]) > _STEADY_DB:
            state[_STEADY_SINCE], state[_LEVEL] = frame, level
        else:
            state[_LEVEL] += (level - state[_LEVEL]) / min(20.0, frame - state[_STEADY_SINCE] + 1.0)
        if state[_ON] == 0.0:
            settled = quiet and frame + 1.0 - state[_STEADY_SINCE] >= steady
            if settled or (quiet and frame + 1.0 - state[_QUIET_SINCE] >= longest):
                if not settled:
                    state[_STEADY_SINCE] = state[_QUIET_SINCE]
                state[_ON], state[_LOUD], state[_CALM] = 1.0, 0.0, 0.0
                return -(i + 1)
        elif quiet:
            state[_CALM] += 1.0
            if state[_CALM] >= _CALM_FRAMES:
                state[_LOUD] = 0.0
        else:
            if state[_LOUD] == 0.0:
                state[_LOUD_SINCE] = frame
            state[_LOUD] += 1.0
            state[_CALM] = 0.0
            if state[_LOUD] >= _LOUD_FRAMES:
                state[_ON] = 0.0
                return -(i + 1)
    return levels_db.size


class Quiet:
    """Levels of frames in; turns of silence out. Pickles between pushes."""

    def __init__(self, settings: Settings) -> None:
        self._quiet_db = settings.silence_db
        self._steady = round(STEADY_S * FRAMES_PER_SECOND)
        self._longest = max(self._steady, round(settings.dead_air_s * FRAMES_PER_SECOND))
        self._state = np.zeros(8)
        self.begin_stretch()

    def begin_stretch(self) -> None:
        """Frames are counted afresh; what is silent stays so until it is heard to be over."""
        on = self._state[_ON]
        self._state[:] = 0.0
        self._state[[_ON, _QUIET_SINCE]] = on, -1.0

    @property
    def on(self) -> bool:
        """Whether it is silent."""
        return bool(self._state[_ON])

    @property
    def since(self) -> float | None:
        """When the quiet that lasts began, stretch seconds."""
        frame = self._state[_QUIET_SINCE]
        return None if frame < 0 else float(frame * HOP / ENGINE_RATE)

    def push(self, levels_db: Floats) -> list[Turned]:
        """Take the RMS of frames, dB of full scale."""
        turned = []
        at = 0
        while at < len(levels_db):
            taken = _follow(levels_db[at:], self._quiet_db, self._steady, self._longest, self._state)
            at += abs(taken)
            if taken < 0:
                # The first quiet frame begins where the sound ended; the first loud one ends where it begins.
                frame = (
                    self._state[_STEADY_SINCE] * HOP if self.on else self._state[_LOUD_SINCE] * HOP + FRAME - HOP / 2
                )
                turned.append(Turned(self.on, float(frame) / ENGINE_RATE, int(self._state[_FRAME]) - 1))
        return turned
