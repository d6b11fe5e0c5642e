"""How much may wait for one client before it counts as slow."""

from __future__ import annotations

_WINDOW_S = 1.0


class SendLimit:
    """Judges one client's write buffer after each write.

    The limit counts only what the client could have read by now. Two things may wait beside `limit_bytes`:

    - pieces that were sent because little waited (a replay, a snapshot, an answer): the server chose that moment;
    - as many bytes as the client has read of its buffer since the last write, or within the last one to two seconds: a
      client that reads well is not slow because many events came at once. At most `limit_bytes` again, so memory stays
      bounded, and a client that reads nothing gets none of it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._waiting_bytes = 0  # after the last write
        self._piece_bytes = 0  # how much of that may be pieces
        self._read_bytes = 0  # in the present window
        self._read_before_bytes = 0  # in the window before
        self._window_began_s = 0.0

    @property
    def reset(self) -> bool:
        """Whether nothing waited after the last write: then a write that leaves nothing need not be judged."""
        return not self._waiting_bytes

    def count_write(self, waiting: int, now: float) -> None:
        """Take note of what waits before a write. now: seconds on a clock that does not jump."""
        since_s = now - self._window_began_s
        if since_s >= _WINDOW_S:
            self._read_before_bytes = self._read_bytes if since_s < 2 * _WINDOW_S else 0
            self._read_bytes, self._window_began_s = 0, now
        self._read_bytes += max(0, self._waiting_bytes - waiting)
        self._piece_bytes = min(self._piece_bytes, waiting)

    def can_send(self, waiting: int, *, piece_bytes: int = 0) -> bool:
        """Whether so much may wait after a write, of which `piece_bytes` were a piece that waited for its turn."""
        self._waiting_bytes = waiting
        self._piece_bytes = min(self._piece_bytes + piece_bytes, waiting)
        read = min(self._limit_bytes, self._read_bytes + self._read_before_bytes)
        return waiting <= self._limit_bytes + self._piece_bytes + read
