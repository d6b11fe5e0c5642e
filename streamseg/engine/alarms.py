"""Alarms: dead air, clipping, lost stereo, a frozen stream.

Decided from what `LoudnessMeter` measures in each tenth of a second, in all channels at the source's rate, because a
downmix hides clipping and stereo. A condition must hold for a while before its alarm is raised, and be absent for a
while before it is cleared. Dead air is quiet that has stopped falling: the tail of a fade-out is not dead air yet.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.loudness.meter import CHANNEL_DIFFERENCE, CLIPPED, FROZEN, LEVEL, ROWS_PER_SECOND
from streamseg.settings import Settings
from streamseg.wire.events import AlarmCleared, AlarmKind, AlarmRaised, Event

_ROWS_PER_SECOND = ROWS_PER_SECOND
_FLOOR_DB = -100.0
_MIN_CLIPPED_ROWS = 3  # of the last second
_MONO_RATIO = 1e-6  # -60 dB: channels that differ by less are one channel
_FALLING_DB = 1.0  # between the halves of a second: quiet that falls faster is a fade-out
_HALF_ROWS = 5

# How long each must hold until it is raised, and be away until it is cleared, seconds.
# Dead air has its own settings: `dead_air_s`, `silence_db`.
_HYSTERESIS_S: dict[AlarmKind, tuple[float, float]] = {
    "silence": (0.0, 1.0),
    "clipping": (2.0, 10.0),
    "mono": (30.0, 3.0),
    "frozen": (3.0, 2.0),
}


@dataclass(slots=True)
class _AlarmHysteresis:
    """A condition, and whether its alarm is raised. All counts in tenths of a second."""

    raise_after: int
    clear_after: int
    rows_true: int = 0
    rows_false: int = 0
    since: float = 0.0
    is_raised: bool = False

    def update(self, now: bool | None, t: float) -> bool:
        """Take the condition of the tenth that ended at t (None: cannot be told). True when the alarm turned."""
        if now is None:
            return False
        if now == self.is_raised:
            # Silence must be unbroken to be dead air; talk that ends it has its pauses.
            self.rows_true, self.rows_false = 0, max(0, self.rows_false - 1)
            return False
        if not self.is_raised:
            if self.rows_true == 0:
                self.since = t - 1 / _ROWS_PER_SECOND
            self.rows_true += 1
            if self.rows_true < self.raise_after:
                return False
        else:
            self.rows_false += 1
            if self.rows_false < self.clear_after:
                return False
        self.is_raised, self.rows_true, self.rows_false = not self.is_raised, 0, 0
        return True


class AlarmDetector:
    """Rows of loudness in; alarms out, with the stream time at which each was decided."""

    def __init__(self, settings: Settings) -> None:
        self._silence_db = settings.silence_db
        self._alarms = {
            kind: _AlarmHysteresis(round(raise_s * _ROWS_PER_SECOND), round(clear_s * _ROWS_PER_SECOND))
            for kind, (raise_s, clear_s) in _HYSTERESIS_S.items()
        }
        # Two tenths less: sound that ends or begins within a tenth makes that tenth loud.
        self._alarms["silence"].raise_after = max(1, round(settings.dead_air_s * _ROWS_PER_SECOND) - 2)
        self._levels_db: deque[float] = deque(maxlen=_ROWS_PER_SECOND)
        self._clipped_rows: deque[bool] = deque(maxlen=_ROWS_PER_SECOND)
        self._pending_events: deque[tuple[float, Event]] = deque()
        self.start_stretch(0.0)

    def start_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on; what is raised stays raised until it is seen to be over."""
        self._start = start
        self._rows = 0
        self._levels_db.clear()
        self._clipped_rows.clear()

    def push(self, rows: NDArray[np.float64]) -> None:
        """Take rows as of `LoudnessMeter`, one for each tenth of a second."""
        for square, differing, cut, frozen in rows[:, [LEVEL, CHANNEL_DIFFERENCE, CLIPPED, FROZEN]].tolist():
            self._update(square, differing, clipped=cut > 0.0, frozen=frozen > 0.0)

    def take_events_until(self, t: float) -> list[Event]:
        """What became known up to stream time t; asked at fixed times, so that blocks do not order the events."""
        events = []
        while self._pending_events and self._pending_events[0][0] <= t:
            events.append(self._pending_events.popleft()[1])
        return events

    def _update(self, square: float, differing: float, *, clipped: bool, frozen: bool) -> None:
        level_db = max(_FLOOR_DB, 10 * math.log10(square)) if square > 0.0 else _FLOOR_DB
        self._levels_db.append(level_db)
        self._clipped_rows.append(clipped)
        self._rows += 1
        t = self._start + self._rows / _ROWS_PER_SECOND
        silent = level_db < self._silence_db
        conditions: dict[AlarmKind, bool | None] = {
            "silence": self._silence_is_steady() if silent else False,
            "clipping": sum(self._clipped_rows) >= _MIN_CLIPPED_ROWS,
            "mono": None if silent or math.isnan(differing) else differing < _MONO_RATIO * square,
            "frozen": frozen,
        }
        for kind, condition in conditions.items():
            if self._alarms[kind].update(condition, t):
                self._queue_event(kind, t)

    def _silence_is_steady(self) -> bool | None:
        """Whether the quiet is there to stay; None while it still falls: a fade-out is neither sound nor dead air."""
        levels = list(self._levels_db)
        before, after = levels[:_HALF_ROWS], levels[_HALF_ROWS:]
        if len(after) < _HALF_ROWS or max(before) >= self._silence_db:
            return True
        return True if sum(before) - sum(after) < _FALLING_DB * _HALF_ROWS else None

    def _queue_event(self, kind: AlarmKind, t: float) -> None:
        alarm = self._alarms[kind]
        level_db = sum(self._levels_db) / len(self._levels_db)
        fact = (AlarmRaised if alarm.is_raised else AlarmCleared)(
            alarm=kind, since=round(alarm.since, 6), level_db=round(level_db, 2)
        )
        self._pending_events.append((t, Event(f"alarm-{kind}", fact)))
