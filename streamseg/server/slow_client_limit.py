"""Decides when a client has left so many bytes unread that it counts as slow."""

from __future__ import annotations

_WINDOW_S = 1.0


class SlowClientLimit:
    """Decides after each write to one client whether the client has left more bytes unread than allowed.

    Only bytes that the client could have read by now count against `limit_bytes`. Two kinds may wait in addition:

    - exempt data (of a replay, a snapshot, a response): the server sent it at a time of its choice, when little waited;
    - as many bytes as the client has read of its buffer since the last write, or within the last one to two seconds: a
      client that reads well is not slow because many events came at once. At most `limit_bytes` again, so memory stays
      bounded, and a client that reads nothing gets none of it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._waiting_bytes = 0  # after the last write
        self._exempt_bytes = 0  # how many of them may be exempt data
        self._read_bytes = 0  # in the present window of time
        self._read_before_bytes = 0  # in the window before
        self._window_start_s = 0.0

    @property
    def was_queue_empty_after_write(self) -> bool:
        """Whether no bytes waited for the client just after the last write to it.

        Then a write that leaves nothing unread needs no check.
        """
        return not self._waiting_bytes

    def record_before_write(self, waiting_bytes: int, now: float) -> None:
        """Record how many bytes wait for the client; call this before each write. now: seconds on a monotonic clock."""
        since_s = now - self._window_start_s
        if since_s >= _WINDOW_S:
            self._read_before_bytes = self._read_bytes if since_s < 2 * _WINDOW_S else 0
            self._read_bytes, self._window_start_s = 0, now
        self._read_bytes += max(0, self._waiting_bytes - waiting_bytes)
        self._exempt_bytes = min(self._exempt_bytes, waiting_bytes)

    def is_within_limit_after_write(self, waiting_bytes: int, *, exempt_bytes: int = 0) -> bool:
        """Record how many bytes wait for the client after a write; return False if these are too many, else True.

        exempt_bytes: how many bytes of that write were exempt data.
        """
        self._waiting_bytes = waiting_bytes
        self._exempt_bytes = min(self._exempt_bytes + exempt_bytes, waiting_bytes)
        read = min(self._limit_bytes, self._read_bytes + self._read_before_bytes)
        return waiting_bytes <= self._limit_bytes + self._exempt_bytes + read
