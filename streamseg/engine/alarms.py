"""Alarms: dead air, clipping, lost stereo, a frozen stream.

Heard in the raw samples, all channels, at the source's rate, because a downmix hides clipping and stereo. Each tenth
of a second gives one `_Tenth`; a condition must hold for a while before its alarm is raised, and be away for a while
before it is cleared. Dead air is quiet that has stopped falling: the tail of a fade-out is not dead air yet.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Samples
from streamseg.engine.kernel import kernel
from streamseg.events import AlarmCleared, AlarmKind, AlarmRaised, Event
from streamseg.settings import Settings

_TENTHS = 10  # a second
_FLOOR_DB = -100.0
_LOUDEST = 8.0
_FULL_SCALE = 0.999  # samples this large, several in a row, were cut off
_RUN = 3
_CLIPPED_TENTHS = 3  # of the last second
_SAME = 1e-6  # -60 dB: channels that differ by less are one channel
_FALLING_DB = 1.0  # between the halves of a second: quiet that falls faster is a fade-out
_STILL_HALF = 5
_LONGEST_PERIOD_S = 0.5  # of a repetition
_VERIFIED_S = 0.25
_LOOK_EVERY = 5  # tenths

# How long each must hold until it is raised, and be away until it is cleared, seconds.
# Dead air has its own settings: `dead_air_s`, `silence_db`.
_HOLD_OFF_S: dict[AlarmKind, tuple[float, float]] = {
    "silence": (0.0, 1.0),
    "clipping": (2.0, 10.0),
    "mono": (30.0, 3.0),
    "frozen": (3.0, 2.0),
}


@kernel
def measure(tenth: Samples, mix: NDArray[np.float32], found: NDArray[np.float64]) -> None:
    """Mean square, how far channels differ (mean square), whether samples were cut off; the channels' sum into `mix`.

    tenth: shape (n, channels). What is not a number counts as 0, what is beyond ±8 as ±8.
    """
    n, channels = tenth.shape
    squares, differing = 0.0, 0.0
    run, clipped, sign = 0, 0.0, np.float32(0.0)
    for i in range(n):
        total = np.float32(0.0)
        first = np.float32(0.0)
        at_limit = np.float32(0.0)
        for c in range(channels):
            x = tenth[i, c]
            x = x if x == x else np.float32(0.0)
            x = min(max(x, np.float32(-_LOUDEST)), np.float32(_LOUDEST))
            total += x
            squares += float(x * x)
            if c == 0:
                first = x
            differing += float((x - first) * (x - first))
            if abs(x) >= _FULL_SCALE:
                at_limit = x
        mix[i] = total
        run = run + 1 if at_limit * sign > 0.0 else (1 if at_limit != 0.0 else 0)
        sign = at_limit
        if run >= _RUN:
            clipped = 1.0
    found[0] = squares / (n * channels)
    found[1] = differing / (n * channels)
    found[2] = clipped


@kernel
def period(past: NDArray[np.float32], longest: int, verified: int) -> int:
    """The lag, in samples, at which the last `verified` samples repeat exactly; 0 when there is none, or all are 0."""
    n = past.size
    sounding = False
    for i in range(n - verified, n):
        sounding |= past[i] != 0.0
    if not sounding:
        return 0
    for lag in range(1, longest + 1):
        same = True
        i = n - 1
        while same and i >= n - verified:
            same = past[i] == past[i - lag]
            i -= 1
        if same:
            return lag
    return 0


class _Tenth(NamedTuple):
    """What a tenth of a second was like."""

    level_db: float
    differing: float
    clipped: bool


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


@dataclass(slots=True)
class _Repetition:
    """The past in which a repetition is sought, of one stretch."""

    rate: int
    past: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    tenths: int = 0
    found: bool = False

    def heard(self, mix: NDArray[np.float32]) -> bool:
        """Whether the sound repeats itself exactly; looked at twice a second."""
        longest, verified = round(_LONGEST_PERIOD_S * self.rate), round(_VERIFIED_S * self.rate)
        self.past = np.concatenate([self.past, mix])[-(longest + verified) :]
        self.tenths += 1
        if len(self.past) == longest + verified and self.tenths % _LOOK_EVERY == 0:
            self.found = period(self.past, longest, verified) > 0
        return self.found


class Alarms:
    """Raw samples in; alarms out, with the stream time at which each was decided."""

    def __init__(self, settings: Settings, sample_rate: int) -> None:
        """sample_rate: of the samples to come, Hz."""
        self._rate = sample_rate
        self._quiet_db = settings.silence_db
        self._size = max(1, round(sample_rate / _TENTHS))
        self._alarms = {
            kind: _HoldOff(round(raise_s * _TENTHS), round(clear_s * _TENTHS))
            for kind, (raise_s, clear_s) in _HOLD_OFF_S.items()
        }
        # Two tenths less: sound that ends or begins within a tenth makes that tenth loud.
        self._alarms["silence"].raise_after = max(1, round(settings.dead_air_s * _TENTHS) - 2)
        self._recent: deque[_Tenth] = deque(maxlen=_TENTHS)
        self._waiting: deque[tuple[float, Event]] = deque()
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on; what is raised stays raised until it is seen to be over."""
        self._start = start
        self._tenths = 0
        self._held: Samples | None = None
        self._repetition = _Repetition(self._rate)
        self._recent.clear()

    def push(self, samples: Samples) -> None:
        """Take samples, float32, shape (n, channels)."""
        if self._held is not None and len(self._held):
            samples = np.concatenate([self._held, samples])
        whole = len(samples) // self._size
        for i in range(whole):
            self._follow(samples[i * self._size : (i + 1) * self._size])
        self._held = samples[whole * self._size :].copy()

    def until(self, t: float) -> list[Event]:
        """What became known up to stream time t; asked at fixed times, so that blocks do not order the events."""
        events = []
        while self._waiting and self._waiting[0][0] <= t:
            events.append(self._waiting.popleft()[1])
        return events

    def _follow(self, samples: Samples) -> None:
        mix, found = np.empty(len(samples), np.float32), np.empty(3)
        measure(samples, mix, found)
        level_db = max(_FLOOR_DB, 10 * math.log10(found[0])) if found[0] > 0 else _FLOOR_DB
        tenth = _Tenth(level_db, found[1] / found[0] if found[0] > 0 else 0.0, bool(found[2]))
        self._recent.append(tenth)
        self._tenths += 1
        t = self._start + self._tenths * self._size / self._rate
        quiet = level_db < self._quiet_db
        stereo = samples.shape[1] > 1
        conditions: dict[AlarmKind, bool | None] = {
            "silence": self._still() if quiet else False,
            "clipping": sum(each.clipped for each in self._recent) >= _CLIPPED_TENTHS,
            "mono": None if quiet or not stereo else tenth.differing < _SAME,
            "frozen": self._repetition.heard(mix),
        }
        for kind, condition in conditions.items():
            if self._alarms[kind].follow(condition, t):
                self._say(kind, t)

    def _still(self) -> bool | None:
        """Whether the quiet is there to stay; None while it still falls: a fade-out is neither sound nor dead air."""
        levels = [each.level_db for each in self._recent]
        before, after = levels[:_STILL_HALF], levels[_STILL_HALF:]
        if len(after) < _STILL_HALF or max(before) >= self._quiet_db:
            return True
        return True if sum(before) - sum(after) < _FALLING_DB * _STILL_HALF else None

    def _say(self, kind: AlarmKind, t: float) -> None:
        alarm = self._alarms[kind]
        level_db = sum(each.level_db for each in self._recent) / len(self._recent)
        fact = (AlarmRaised if alarm.raised else AlarmCleared)(
            alarm=kind, since=round(alarm.since, 6), level_db=round(level_db, 2)
        )
        self._waiting.append((t, Event(f"alarm-{kind}", fact)))
