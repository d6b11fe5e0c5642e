"""Limits a rate: so much a second on average, and so much at once."""

from __future__ import annotations


class RateLimiter:
    """A token bucket: tokens flow in at a steady rate up to a maximum, and each `spend_or_overdraw` takes some out."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        """Start with a full bucket.

        per_s: tokens that flow in per second. burst: the most tokens that the bucket holds. now: seconds on a monotonic
        clock, here and below.
        """
        self._per_s, self._burst = per_s, burst
        self._available = burst
        self._filled_at = now

    def spend_or_overdraw(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens out of the bucket, even below 0; return True if the bucket held enough, else False.

        After False the content is below 0 and must refill before a call can return True again.
        """
        refill = (now - self._filled_at) * self._per_s
        self._available = min(self._available + refill, self._burst) - cost
        self._filled_at = now
        return self._available >= 0
