"""A source that delivers a recording as a sound card would: in real time, through the ring buffer of a microphone.

A producer thread acts as the card. It never waits for the worker, so a worker that is too slow loses samples, as with a
microphone. With `fast` there is no pacing; then the producer waits, so that no samples are lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from streamseg.blocks import Block, Gap, Samples, SourceItem
from streamseg.sources.ring_buffer import RingBuffer, to_unix_time

if TYPE_CHECKING:
    from streamseg.blocks import Source

BUFFER_S = 0.02  # a card delivers this much at once
RING_S = 10.0
_RING_BYTES = 64 << 20  # with many channels at a high rate the ring buffer holds less than RING_S
POLL_S = 0.004


class PacedSource:
    """A source that yields the items of another source in real time, once, as a microphone would deliver them."""

    def __init__(self, source: Source | Iterable[SourceItem], name: str, *, fast: bool = False) -> None:
        """Set what to play. The iteration starts the playback.

        source: a source, or any iterable of source items; all blocks have the same sample rate and channel count. name:
        of this source, for messages and events. fast: yield items as fast as the reader takes them.
        """
        self.name = name
        self._source = source
        self._fast = fast
        self._ring: RingBuffer | None = None
        self._sample_rate = 0
        self._marks: deque[tuple[int, SourceItem]] = deque()  # each item that is not a block, and the frame after it
        self._missing_samples = 0  # in the recording
        self._failure: Exception | None = None
        self._producer_finished = threading.Event()
        self._close_event = threading.Event()

    @property
    def dropped_samples(self) -> int:
        """The number of samples (per channel) lost so far; each of them is part of a yielded `Gap`."""
        return self._missing_samples + (self._ring.dropped_frames if self._ring else 0)

    def close(self) -> None:
        """Stop the playback and close the source that is played, so that the iteration ends.

        A generator is not closed. It may be called from any thread.
        """
        self._close_event.set()
        if not isinstance(self._source, Iterator):  # a generator cannot be closed from another thread
            close = getattr(self._source, "close", None)
            if close is not None:  # the source may be waiting for a pipe that delivers nothing
                close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield blocks of 20 ms, each when it is due. After the last block, raise what the source raised."""
        producer = threading.Thread(target=self._fill_ring, name=f"play {self.name}", daemon=True)
        producer.start()
        try:
            yield from self._read_ring()
        finally:
            self.close()
            producer.join()
        if self._failure is not None:
            raise self._failure

    def _read_ring(self) -> Iterator[SourceItem]:
        position = 0
        while not self._close_event.is_set():
            is_finished = (
                self._producer_finished.is_set()
            )  # checked before the read, so that the last chunk is not missed
            chunk = self._ring.read_chunk() if self._ring else None
            if chunk is not None:
                if chunk.missing_before:
                    yield Gap(chunk.missing_before, "overflow")
                position += chunk.missing_before
                yield from self._take_marks(position)
                yield Block(chunk.samples, self._sample_rate, to_unix_time(chunk.arrival_s))
                position += len(chunk.samples)
            elif is_finished:
                if self._ring and self._ring.unreported_dropped_frames:
                    yield Gap(self._ring.unreported_dropped_frames, "overflow")
                yield from self._take_marks(None)
                return
            else:
                time.sleep(POLL_S)

    def _take_marks(self, position: int | None) -> Iterator[SourceItem]:
        """Remove and yield the marks up to a frame; None: all."""
        while self._marks and (position is None or self._marks[0][0] <= position):
            yield self._marks.popleft()[1]

    def _fill_ring(self) -> None:
        start_time, frames_produced = time.monotonic(), 0
        try:
            for item in self._source:
                if self._close_event.is_set():
                    return
                if not isinstance(item, Block):
                    self._missing_samples += item.missing_samples if isinstance(item, Gap) else 0
                    self._marks.append((frames_produced, item))
                    continue
                if self._ring is None:
                    self._sample_rate = item.sample_rate
                    channels = item.samples.shape[1]
                    frames = min(round(RING_S * item.sample_rate), _RING_BYTES // (4 * channels))
                    self._ring = RingBuffer(frames, channels)
                    start_time = time.monotonic()  # again: opening the file took time
                buffer_frames = max(1, round(BUFFER_S * item.sample_rate))
                for start in range(0, len(item.samples), buffer_frames):
                    samples = item.samples[start : start + buffer_frames]
                    frames_produced += len(samples)
                    if not self._wait_until_due(self._ring, samples, start_time + frames_produced / item.sample_rate):
                        return
                    self._ring.write_chunk(samples, time.monotonic())
        except Exception as error:  # raised again in the reader's thread
            self._failure = error
        finally:
            self._producer_finished.set()

    def _wait_until_due(self, ring: RingBuffer, samples: Samples, due: float) -> bool:
        """Wait until the samples may be written; returns False after `close`."""
        if self._fast:
            while not ring.has_room(len(samples)):
                if self._close_event.wait(POLL_S):
                    return False
            return not self._close_event.is_set()
        return not self._close_event.wait(max(0.0, due - time.monotonic()))
