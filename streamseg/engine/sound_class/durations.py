"""Adds up how long each sound class is on, for the report of a section."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SoundClass: TypeAlias = Literal["speech", "music", "silence"]
SOUND_CLASSES: Final[tuple[SoundClass, ...]] = ("speech", "music", "silence")

_MAX_CHANGES: Final = 64  # so that a section that ended some seconds ago can be reported


@dataclass(frozen=True, slots=True)
class _ClassTotals:
    """From stream time t on, these classes are on; until then each had been on for so many seconds."""

    t: float
    active: tuple[bool, ...]
    seconds: tuple[float, ...]

    def seconds_until(self, t: float) -> tuple[float, ...]:
        return tuple(s + (t - self.t) * on for s, on in zip(self.seconds, self.active, strict=True))


class ClassDurations:
    """Adds up the seconds of each sound class (speech, music, silence) since the start of the stream."""

    def __init__(self) -> None:
        self._changes: deque[_ClassTotals] = deque([_ClassTotals(0.0, (False,) * 3, (0.0,) * 3)], maxlen=_MAX_CHANGES)

    @property
    def changed_at(self) -> float:
        """Stream time of the last recorded change of sound class, in seconds; 0 before the first change."""
        return self._changes[-1].t

    @property
    def active_classes(self) -> dict[SoundClass, bool]:
        """{sound class: whether it is present since the last recorded change}."""
        return dict(zip(SOUND_CLASSES, self._changes[-1].active, strict=True))

    def add_change(self, t: float, active: dict[SoundClass, bool]) -> None:
        """Record which sound classes are present from stream time t on.

        t: seconds, not before `changed_at`. active: for each of SOUND_CLASSES, whether it is present.
        """
        seconds = self._changes[-1].seconds_until(t)
        self._changes.append(_ClassTotals(t, tuple(active[each] for each in SOUND_CLASSES), seconds))

    def seconds_until(self, t: float) -> tuple[float, ...]:
        """Return the seconds of speech, music and silence, in this order, from the start of the stream to time t.

        Only changes recorded so far count; after the last one, the classes stay as they are.
        """
        last = next((change for change in reversed(self._changes) if change.t <= t), self._changes[0])
        return last.seconds_until(t)
