"""Alarms: dead air, clipping, lost stereo, a frozen stream.

Heard in the raw samples, all channels, at the source's rate, because a downmix hides clipping and stereo. Each tenth
of a second is measured; a condition must hold for a while before its alarm is raised, and be away for a while before
it is cleared. Dead air is quiet that has stopped falling: the tail of a fade-out is not dead air yet.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy import uintp as u  # an index that is never negative: numba then leaves out its test for that
from numpy.typing import NDArray

from streamseg.blocks import Samples
from streamseg.engine.kernel import allocating as kernel
from streamseg.events import AlarmCleared, AlarmKind, AlarmRaised, Event
from streamseg.settings import Settings

Floats32: TypeAlias = NDArray[np.float32]

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
def measure(samples: Samples, size: int, plane: Floats32, mix: Floats32, found: NDArray[np.float64]) -> None:
    """Of each tenth: mean square, how far channels differ (mean square), whether samples were cut off; mix: their sum.

    samples: shape (n, channels), of which whole tenths of `size` are measured. plane: scratch, shape (2, size).
    What is not a number counts as 0, what is beyond ±8 as ±8.
    """
    channels = samples.shape[1]
    first, now = plane[0], plane[1]
    for tenth in range(found.shape[0]):
        part, sums = samples[tenth * size : (tenth + 1) * size], mix[tenth * size : (tenth + 1) * size]
        squares, differing, cut = 0.0, 0.0, 0
        for c in range(channels):
            for i in range(size):
                x = part[i, c]
                x = x if x == x else np.float32(0.0)
                x = x if x < np.float32(_LOUDEST) else np.float32(_LOUDEST)
                now[i] = x if x > np.float32(-_LOUDEST) else np.float32(-_LOUDEST)
            for i in range(size):
                cut += abs(now[i]) >= np.float32(_FULL_SCALE)
            squares += energy(now)
            if c == 0:
                first[:] = now
                sums[:] = now
                continue
            for i in range(size):
                sums[i] += now[i]
                now[i] -= first[i]
            differing += energy(now)
        found[tenth, 0] = squares / (size * channels)
        found[tenth, 1] = differing / (size * channels)
        found[tenth, 2] = cut >= _RUN and cut_off(part)


@kernel
def energy(x: Floats32) -> float:
    """The sum of squares, in eight lanes."""
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = 0.0
    whole = x.size // 8 * 8
    for i in range(0, whole, 8):
        a0 += float(x[i]) * float(x[i])
        a1 += float(x[u(i + 1)]) * float(x[u(i + 1)])
        a2 += float(x[u(i + 2)]) * float(x[u(i + 2)])
        a3 += float(x[u(i + 3)]) * float(x[u(i + 3)])
        a4 += float(x[u(i + 4)]) * float(x[u(i + 4)])
        a5 += float(x[u(i + 5)]) * float(x[u(i + 5)])
        a6 += float(x[u(i + 6)]) * float(x[u(i + 6)])
        a7 += float(x[u(i + 7)]) * float(x[u(i + 7)])
    for i in range(whole, x.size):
        a0 += float(x[i]) * float(x[i])
    return ((a0 + a4) + (a1 + a5)) + ((a2 + a6) + (a3 + a7))


@kernel
def cut_off(tenth: Samples) -> bool:
    """Whether several samples in a row lie at the limit, on the same side."""
    run, sign = 0, np.float32(0.0)
    for i in range(tenth.shape[0]):
        at_limit = np.float32(0.0)
        for c in range(tenth.shape[1]):
            x = tenth[i, c]
            if abs(x) >= np.float32(_FULL_SCALE):
                at_limit = x
        run = run + 1 if at_limit * sign > 0.0 else (1 if at_limit != 0.0 else 0)
        sign = at_limit
        if run >= _RUN:
            return True
    return False


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


class _Repetition:
    """The past in which a repetition is sought, of one stretch."""

    def __init__(self, rate: int) -> None:
        self._longest, self._verified = round(_LONGEST_PERIOD_S * rate), round(_VERIFIED_S * rate)
        self._past = np.zeros(2 * (self._longest + self._verified), np.float32)
        self._held = self._tenths = 0
        self._found = False

    def heard(self, mix: Floats32) -> bool:
        """Whether the sound repeats itself exactly; looked at twice a second."""
        needed = self._longest + self._verified
        if self._held + len(mix) > len(self._past):
            self._past[:needed] = self._past[self._held - needed : self._held].copy()
            self._held = needed
        self._past[self._held : self._held + len(mix)] = mix
        self._held += len(mix)
        self._tenths += 1
        if self._held >= needed and self._tenths % _LOOK_EVERY == 0:
            past = self._past[self._held - needed : self._held]
            self._found = period(past, self._longest, self._verified) > 0
        return self._found


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
        self._levels_db: deque[float] = deque(maxlen=_TENTHS)
        self._clipped: deque[bool] = deque(maxlen=_TENTHS)
        self._plane = np.zeros((2, self._size), np.float32)
        self._waiting: deque[tuple[float, Event]] = deque()
        self.begin_stretch(0.0)

    def begin_stretch(self, start: float) -> None:
        """Hear afresh from stream time `start` on; what is raised stays raised until it is seen to be over."""
        self._start = start
        self._tenths = 0
        self._held: Samples | None = None
        self._repetition = _Repetition(self._rate)
        self._levels_db.clear()
        self._clipped.clear()

    def push(self, samples: Samples) -> None:
        """Take samples, float32, shape (n, channels)."""
        if self._held is not None and len(self._held):
            samples = np.concatenate([self._held, samples])
        whole = len(samples) // self._size
        mix, found = np.empty(whole * self._size, np.float32), np.empty((whole, 3))
        measure(samples, self._size, self._plane, mix, found)
        stereo = samples.shape[1] > 1
        for i, (square, differing, clipped) in enumerate(found.tolist()):
            self._follow(square, differing, bool(clipped), mix[i * self._size : (i + 1) * self._size], stereo=stereo)
        self._held = samples[whole * self._size :].copy()

    def until(self, t: float) -> list[Event]:
        """What became known up to stream time t; asked at fixed times, so that blocks do not order the events."""
        events = []
        while self._waiting and self._waiting[0][0] <= t:
            events.append(self._waiting.popleft()[1])
        return events

    def _follow(self, square: float, differing: float, clipped: bool, mix: Floats32, *, stereo: bool) -> None:
        level_db = max(_FLOOR_DB, 10 * math.log10(square)) if square > 0.0 else _FLOOR_DB
        self._levels_db.append(level_db)
        self._clipped.append(clipped)
        self._tenths += 1
        t = self._start + self._tenths * self._size / self._rate
        quiet = level_db < self._quiet_db
        conditions: dict[AlarmKind, bool | None] = {
            "silence": self._still() if quiet else False,
            "clipping": sum(self._clipped) >= _CLIPPED_TENTHS,
            "mono": None if quiet or not stereo else differing < _SAME * square,
            "frozen": self._repetition.heard(mix),
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
