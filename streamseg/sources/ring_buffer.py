"""A lock-free ring buffer between the sound card's callback, which must never wait, and the stream's worker thread.

One writer, one reader, no lock. Only one side advances each counter, and the other reads it. The writer fills its slots
before it advances `_chunks_written`; the reader copies them before it advances `_chunks_read`. In CPython a store to an
attribute is atomic, so the reader never gets half a chunk.

Without room the new frames are dropped and counted; old frames are never overwritten. So the loss is at one place,
which the next chunk reports (`missing_before`), and the stream time after it is correct.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from streamseg.blocks import Samples

_CHUNKS = 4096  # largest number of unread chunks: 102 s at 25 ms each, longer than any ring buffer here


@dataclass(frozen=True, slots=True, eq=False)
class RingChunk:
    """The frames that one call of `RingBuffer.write_chunk` wrote, as `read_chunk` returns them.

    samples: float32, shape (n, channels), a copy.
    arrival_s: time of the write by the monotonic clock.
    missing_before: frames dropped between the previous chunk and this one.
    """

    samples: Samples
    arrival_s: float
    missing_before: int


def to_unix_time(monotonic_s: float) -> float:
    """Convert a time of the monotonic clock to Unix seconds, by the wall clock as it is set now."""
    return time.time() - (time.monotonic() - monotonic_s)


class RingBuffer:
    """A queue of limited size that passes chunks of frames from one writer thread to one reader thread, without a lock.

    capacity_frames: the number of frames (one sample per channel each) that it holds.
    """

    def __init__(self, capacity_frames: int, channels: int) -> None:
        self._capacity = capacity_frames
        self._frames = np.zeros((capacity_frames, channels), np.float32)
        self._length = np.zeros(_CHUNKS, np.int64)
        self._arrival_times = np.zeros(_CHUNKS, np.float64)
        self._missing_before = np.zeros(_CHUNKS, np.int64)
        # only the writer changes these
        self._frames_written = 0
        self._chunks_written = 0
        self._dropped_frames = 0
        self._dropped_reported = 0
        # only the reader changes these
        self._frames_read = 0
        self._chunks_read = 0

    @property
    def dropped_frames(self) -> int:
        """The number of frames dropped so far because there was no room."""
        return self._dropped_frames

    @property
    def unreported_dropped_frames(self) -> int:
        """The number of frames dropped since the newest chunk was written; no `missing_before` counts them yet."""
        return self._dropped_frames - self._dropped_reported

    def has_room(self, frames: int) -> bool:
        """Return whether a chunk of this many frames fits now."""
        unread_frames = self._frames_written - self._frames_read
        return frames <= self._capacity - unread_frames and self._chunks_written - self._chunks_read < _CHUNKS

    def write_chunk(self, samples: Samples, arrival_s: float) -> bool:
        """Copy one chunk into the buffer and return True; without room, count its frames as dropped and return False.

        samples: float32, shape (n, channels). arrival_s: seconds of the monotonic clock. Never waits.
        """
        n = len(samples)
        if not self.has_room(n):
            self._dropped_frames += n
            return False
        slot = self._chunks_written % _CHUNKS
        self._length[slot] = n
        self._arrival_times[slot] = arrival_s
        self._missing_before[slot] = self._dropped_frames - self._dropped_reported
        start = self._frames_written % self._capacity
        first = min(n, self._capacity - start)
        self._frames[start : start + first] = samples[:first]
        self._frames[: n - first] = samples[first:]
        self._dropped_reported = self._dropped_frames
        self._frames_written += n
        self._chunks_written += 1  # from here on the reader may read the chunk
        return True

    def read_chunk(self) -> RingChunk | None:
        """Remove the oldest chunk and return it; return None when the buffer is empty. Never waits."""
        if self._chunks_read == self._chunks_written:
            return None
        slot = self._chunks_read % _CHUNKS
        n = int(self._length[slot])
        start = self._frames_read % self._capacity
        first = min(n, self._capacity - start)
        samples = np.empty((n, self._frames.shape[1]), np.float32)
        samples[:first] = self._frames[start : start + first]
        samples[first:] = self._frames[: n - first]
        chunk = RingChunk(samples, float(self._arrival_times[slot]), int(self._missing_before[slot]))
        self._frames_read += n
        self._chunks_read += 1  # from here on the writer may overwrite the chunk
        return chunk
