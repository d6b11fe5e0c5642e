"""How much somebody may do: so much a second on average, and so much at once."""

from __future__ import annotations


class RateLimiter:
    """A bucket that fills steadily up to a brim. Every `take` costs something."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        """now: seconds on any clock that does not jump, as below. The bucket begins full."""
        self._per_s, self._burst = per_s, burst
        self._available = burst
        self._counted_at = now

    def allow(self, now: float, cost: float = 1.0) -> bool:
        """Whether there was enough."""
        gained = (now - self._counted_at) * self._per_s
        self._available = min(self._available + gained, self._burst) - cost
        self._counted_at = now
        return self._available >= 0
