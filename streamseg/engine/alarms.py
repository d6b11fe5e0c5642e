"""Alarms: dead air, clipping, lost stereo, a frozen stream.

Told from what `Loudness` measures of each tenth of a second, in all channels at the source's rate, because a downmix
hides clipping and stereo. A condition must hold for a while before its alarm is raised, and be away for a while before
it is cleared. Dead air is quiet that has stopped falling: the tail of a fade-out is not dead air yet.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.loudness import APART, BLOCKS_PER_SECOND, CUT, FROZEN, LEVEL
from streamseg.events import AlarmCleared, AlarmKind, AlarmRaised, Event
from streamseg.settings import Settings

_TENTHS = BLOCKS_PER_SECOND
_FLOOR_DB = -100.0
_CLIPPED_TENTHS = 3  # of the last second
_SAME = 1e-6  # -60 dB: channels that differ by less are one channel
_FALLING_DB = 1.0  # between the halves of a second: quiet that falls faster is a fade-out
_STILL_HALF = 5

# How long each must hold until it is raised, and be away until it is cleared, seconds.
# Dead air has its own settings: `dead_air_s`, `silence_db`.
_HOLD_OFF_S: dict[AlarmKind, tuple[float, float]] = {
    "silence": (0.0, 1.0),
    "clipping": (2.0, 10.0),
    "mono": (30.0, 3.0),
    "frozen": (3.0, 2.0),
}


@dataclass(slots=True)
class _HoldOff:
    """A condition, and whether its alarm is raised. All counts in tenths of a second."""

    raise_after: int
    clear_after: int
    held: int = 0
    away: int = 0
    since: float = 0.0
    raised: bool = False

    def follow(self, now: bool | None, t: float) -> bool:
        """Take the condition of the tenth that ended at t (None: cannot be told). True when the alarm turned."""
        if now is None:
            return False
        if now == self.raised:
            # Silence must be unbroken to be dead air; talk that ends it has its pauses.
            self.held, self.away = 0, max(0, self.away - 1)
            return False
        if not self.raised:
            if self.held == 0:
                self.since = t - 1 / _TENTHS
            self.held += 1
            if self.held < self.raise_after:
                return False
        else:
            self.away += 1
            if self.away < self.clear_after:
                return False
        self.raised, self.held, self.away = not self.raised, 0, 0
        return True


class Alarms:
    """Rows of loudness in; alarms out, with the stream time at which each was decided."""

    def __init__(self, settings: Settings) -> None:
        self._quiet_db = settings.silence_db
        self._alarms = {
            kind: _HoldOff(round(raise_s * _TENTHS), round(clear_s * _TENTHS))
            for kind, (raise_s, clear_s) in _HOLD_OFF_S.items()
        }
        # Two tenths less: sound that ends or begins within a tenth makes that tenth loud.
        self._alarms["silence"].raise_after = max(1, round(settings.dead_air_s * _TENTHS) - 2)
        self._levels_db: deque[float] = deque(maxlen=_TENTHS)
        self._clipped: deque[bool] = deque(maxlen=_TENTHS)
        self._waiting: deque[tuple[float, Event]] = deque()
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on; what is raised stays raised until it is seen to be over."""
        self._start = start
        self._tenths = 0
        self._levels_db.clear()
        self._clipped.clear()

    def push(self, rows: NDArray[np.float64]) -> None:
        """Take rows as of `Loudness`, one for each tenth of a second."""
        for square, differing, cut, frozen in rows[:, [LEVEL, APART, CUT, FROZEN]].tolist():
            self._follow(square, differing, clipped=cut > 0.0, frozen=frozen > 0.0)

    def until(self, t: float) -> list[Event]:
        """What became known up to stream time t; asked at fixed times, so that blocks do not order the events."""
        events = []
        while self._waiting and self._waiting[0][0] <= t:
            events.append(self._waiting.popleft()[1])
        return events

    def _follow(self, square: float, differing: float, *, clipped: bool, frozen: bool) -> None:
        level_db = max(_FLOOR_DB, 10 * math.log10(square)) if square > 0.0 else _FLOOR_DB
        self._levels_db.append(level_db)
        self._clipped.append(clipped)
        self._tenths += 1
        t = self._start + self._tenths / _TENTHS
        quiet = level_db < self._quiet_db
        conditions: dict[AlarmKind, bool | None] = {
            "silence": self._still() if quiet else False,
            "clipping": sum(self._clipped) >= _CLIPPED_TENTHS,
            "mono": None if quiet or math.isnan(differing) else differing < _SAME * square,
            "frozen": frozen,
        }
        for kind, condition in conditions.items():
            if self._alarms[kind].follow(condition, t):
                self._say(kind, t)

    def _still(self) -> bool | None:
        """Whether the quiet is there to stay; None while it still falls: a fade-out is neither sound nor dead air."""
        levels = list(self._levels_db)
        before, after = levels[:_STILL_HALF], levels[_STILL_HALF:]
        if len(after) < _STILL_HALF or max(before) >= self._quiet_db:
            return True
        return True if sum(before) - sum(after) < _FALLING_DB * _STILL_HALF else None

    def _say(self, kind: AlarmKind, t: float) -> None:
        alarm = self._alarms[kind]
        level_db = sum(self._levels_db) / len(self._levels_db)
        fact = (AlarmRaised if alarm.raised else AlarmCleared)(
            alarm=kind, since=round(alarm.since, 6), level_db=round(level_db, 2)
        )
        self._waiting.append((t, Event(f"alarm-{kind}", fact)))
