"""The ring between whoever must never wait (the sound card's callback) and whoever works (the stream's worker).

One writer, one reader, no lock. Each counter is advanced by one side only and read by the other; the writer
fills its slots before it advances `_chunks_written`, the reader empties them before it advances
`_chunks_read`. A store to an attribute is one step in CPython, so neither side ever sees half a chunk.

When there is no room the new frames are dropped and counted, never the old ones overwritten: the loss then
stands at one place, which the next chunk names (`missing_before`), and stream time stays right behind it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from streamseg.blocks import Samples

_CHUNKS = 4096  # writes that can wait; at 25 ms a write that is more than any ring holds frames for


@dataclass(frozen=True, slots=True, eq=False)
class RingChunk:
    """What one write put in.

    samples: float32, shape (n, channels), the reader's own copy.
    arrived: when it was written, by the monotonic clock, seconds.
    missing_before: frames dropped between the chunk before and this one.
    """

    samples: Samples
    arrived: float
    missing_before: int


def to_unix_time(monotonic_s: float) -> float:
    """The wall clock at a moment of the monotonic one. Asked late, so that a clock set meanwhile is followed."""
    return time.time() - (time.monotonic() - monotonic_s)


class RingBuffer:
    """Frames on their way from one thread to another."""

    def __init__(self, capacity_frames: int, channels: int) -> None:
        self._capacity = capacity_frames
        self._frames = np.zeros((capacity_frames, channels), np.float32)
        self._length = np.zeros(_CHUNKS, np.int64)
        self._arrived = np.zeros(_CHUNKS, np.float64)
        self._missing_before = np.zeros(_CHUNKS, np.int64)
        # the writer's
        self._frames_written = 0
        self._chunks_written = 0
        self._dropped_frames = 0
        self._dropped_reported = 0
        # the reader's
        self._read = 0
        self._chunks_read = 0

    @property
    def dropped_frames(self) -> int:
        """Frames dropped so far for want of room."""
        return self._dropped_frames

    @property
    def dropped_after_last(self) -> int:
        """Frames dropped after the newest chunk, which no chunk names yet."""
        return self._dropped_frames - self._dropped_reported

    def has_room(self, frames: int) -> bool:
        """Whether a write of so many frames would be kept."""
        waiting = self._frames_written - self._read
        return frames <= self._capacity - waiting and self._chunks_written - self._chunks_read < _CHUNKS

    def write_chunk(self, samples: Samples, arrived: float) -> bool:
        """Put one chunk in, or drop and count it; whether it was kept. Copies, and does nothing else.

        samples: float32, shape (n, channels).
        """
        n = len(samples)
        if not self.has_room(n):
            self._dropped_frames += n
            return False
        slot = self._chunks_written % _CHUNKS
        self._length[slot] = n
        self._arrived[slot] = arrived
        self._missing_before[slot] = self._dropped_frames - self._dropped_reported
        start = self._frames_written % self._capacity
        first = min(n, self._capacity - start)
        self._frames[start : start + first] = samples[:first]
        self._frames[: n - first] = samples[first:]
        self._dropped_reported = self._dropped_frames
        self._frames_written += n
        self._chunks_written += 1  # from here on the reader sees it
        return True

    def read_chunk(self) -> RingChunk | None:
        """Take the oldest chunk out; None when nothing waits."""
        if self._chunks_read == self._chunks_written:
            return None
        slot = self._chunks_read % _CHUNKS
        n = int(self._length[slot])
        start = self._read % self._capacity
        first = min(n, self._capacity - start)
        samples = np.empty((n, self._frames.shape[1]), np.float32)
        samples[:first] = self._frames[start : start + first]
        samples[first:] = self._frames[: n - first]
        chunk = RingChunk(samples, float(self._arrived[slot]), int(self._missing_before[slot]))
        self._read += n
        self._chunks_read += 1  # from here on the writer may use the room again
        return chunk
