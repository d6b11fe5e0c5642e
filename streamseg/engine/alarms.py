"""Detects alarm conditions: dead air, clipping, lost stereo, a frozen stream.

The input is what `LoudnessMeter` measures in each tenth of a second, in all channels at the source's rate, because a
downmix hides clipping and stereo. A condition must hold for a while before its alarm is raised, and be absent for a
while before it is cleared. Dead air is silence whose level has stopped falling: the end of a fade-out is not dead air.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.loudness.meter import CHANNEL_DIFFERENCE, CLIPPING, FROZEN, LEVEL, ROWS_PER_SECOND
from streamseg.settings import Settings
from streamseg.wire.events import AlarmCleared, AlarmKind, AlarmRaised, Event

_FLOOR_DB = -100.0
_MIN_CLIPPED_ROWS = 3  # of the last second
_MONO_RATIO = 1e-6  # -60 dB: channels that differ by less are one channel
_FALLING_DB = 1.0  # between the halves of a second: a level that falls faster is a fade-out
_HALF_ROWS = 5

# Seconds that each condition must hold until the alarm is raised, and be absent until it is cleared.
# Silence is raised after the setting `dead_air_s`.
_HYSTERESIS_S: dict[AlarmKind, tuple[float, float]] = {
    "silence": (0.0, 1.0),
    "clipping": (2.0, 10.0),
    "mono": (30.0, 3.0),
    "frozen": (3.0, 2.0),
}


@dataclass(slots=True)
class _AlarmHysteresis:
    """Raises and clears the alarm of one condition. All counts are in tenths of a second."""

    raise_after: int
    clear_after: int
    rows_true: int = 0
    rows_false: int = 0
    since: float = 0.0
    is_raised: bool = False

    def update(self, condition: bool | None, t: float) -> bool:
        """Process the condition in the tenth that ended at t, None if unknown; True when the alarm changed."""
        if condition is None:
            return False
        if condition == self.is_raised:
            # Silence must be unbroken to be dead air, but the speech that ends it may pause.
            self.rows_true, self.rows_false = 0, max(0, self.rows_false - 1)
            return False
        if not self.is_raised:
            if self.rows_true == 0:
                self.since = t - 1 / ROWS_PER_SECOND
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
    """Detects lasting silence, clipping, lost stereo and frozen sound; queues events that raise and clear alarms."""

    def __init__(self, settings: Settings) -> None:
        """Start at stream time 0 with all alarms cleared."""
        self._silence_db = settings.silence_db
        self._alarms = {
            kind: _AlarmHysteresis(round(raise_s * ROWS_PER_SECOND), round(clear_s * ROWS_PER_SECOND))
            for kind, (raise_s, clear_s) in _HYSTERESIS_S.items()
        }
        # Two tenths less, because sound that ends or starts within a tenth makes that tenth loud.
        self._alarms["silence"].raise_after = max(1, round(settings.dead_air_s * ROWS_PER_SECOND) - 2)
        self._levels_db: deque[float] = deque(maxlen=ROWS_PER_SECOND)
        self._clipped_rows: deque[bool] = deque(maxlen=ROWS_PER_SECOND)
        self._pending_events: deque[tuple[float, Event]] = deque()
        self.continue_after_gap(0.0)

    def continue_after_gap(self, start: float) -> None:
        """Continue at stream time `start`, in seconds, after a gap; raised alarms stay until their condition ends."""
        self._start = start
        self._rows = 0
        self._levels_db.clear()
        self._clipped_rows.clear()

    def push_loudness(self, loudness_rows: NDArray[np.float64]) -> None:
        """Process the next rows of a `LoudnessMeter`, one per tenth of a second, and queue the resulting alarm events.

        loudness_rows: shape (n, len(LOUDNESS_COLUMNS)). `take_events_until` returns the queued events.
        """
        columns = [LEVEL, CHANNEL_DIFFERENCE, CLIPPING, FROZEN]
        for level, difference, clip_flag, frozen_flag in loudness_rows[:, columns].tolist():
            self._update(level, difference, is_clipped=clip_flag > 0.0, is_frozen=frozen_flag > 0.0)

    def take_events_until(self, t: float) -> list[Event]:
        """Return the queued alarm events decided up to stream time t, in seconds, and remove them from the queue.

        The caller passes times that do not depend on the sizes of blocks, so the order of events does not either.
        """
        events = []
        while self._pending_events and self._pending_events[0][0] <= t:
            events.append(self._pending_events.popleft()[1])
        return events

    def _update(self, level: float, difference: float, *, is_clipped: bool, is_frozen: bool) -> None:
        """Process one row. level, difference: mean squares of all channels, and of what they differ by."""
        level_db = max(_FLOOR_DB, 10 * math.log10(level)) if level > 0.0 else _FLOOR_DB
        self._levels_db.append(level_db)
        self._clipped_rows.append(is_clipped)
        self._rows += 1
        t = self._start + self._rows / ROWS_PER_SECOND
        is_silent = level_db < self._silence_db
        conditions: dict[AlarmKind, bool | None] = {
            "silence": self._silence_is_steady() if is_silent else False,
            "clipping": sum(self._clipped_rows) >= _MIN_CLIPPED_ROWS,
            "mono": None if is_silent or math.isnan(difference) else difference < _MONO_RATIO * level,
            "frozen": is_frozen,
        }
        for kind, condition in conditions.items():
            if self._alarms[kind].update(condition, t):
                self._queue_event(kind, t)

    def _silence_is_steady(self) -> bool | None:
        """Whether silence is dead air; None while its level still falls: a fade-out is neither sound nor dead air."""
        levels = list(self._levels_db)
        before, after = levels[:_HALF_ROWS], levels[_HALF_ROWS:]
        if len(after) < _HALF_ROWS or max(before) >= self._silence_db:
            return True
        return True if sum(before) - sum(after) < _FALLING_DB * _HALF_ROWS else None

    def _queue_event(self, kind: AlarmKind, t: float) -> None:
        alarm = self._alarms[kind]
        level_db = sum(self._levels_db) / len(self._levels_db)
        data = (AlarmRaised if alarm.is_raised else AlarmCleared)(
            alarm=kind, since=round(alarm.since, 6), level_db=round(level_db, 2)
        )
        self._pending_events.append((t, Event(f"alarm-{kind}", data)))
