"""How much somebody may do: so much a second on average, and so much at once."""

from __future__ import annotations


class Allowance:
    """A bucket that fills steadily up to a brim. Every `take` costs something."""

    def __init__(self, per_s: float, at_once: float, now: float) -> None:
        """now: seconds on any clock that does not jump, as below. The bucket begins full."""
        self._per_s, self._at_once = per_s, at_once
        self._left = at_once
        self._counted_at = now

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Whether there was enough."""
        gained = (now - self._counted_at) * self._per_s
        self._left = min(self._left + gained, self._at_once) - cost
        self._counted_at = now
        return self._left >= 0
