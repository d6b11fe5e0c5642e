"""Plays recorded sound as if it came from a sound card: in real time, through the very ring a microphone uses.

A producer thread takes the card's part. It never waits for the worker, so a worker that is too slow loses
samples here as it would live. `fast` turns the pace off, and then the producer does wait, because nothing
may be lost to haste.
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

BUFFER_S = 0.02  # what a card delivers at once
RING_S = 10.0
_RING_BYTES = 64 << 20  # of many channels at a high rate, less than that
POLL_S = 0.004


class PlaybackSource:
    """A source, or any iterable of blocks, played once."""

    def __init__(self, source: Source | Iterable[SourceItem], name: str, *, fast: bool = False) -> None:
        """recorded: all blocks of one sample rate and channel count. fast: as fast as the reader can."""
        self.name = name
        self._source = source
        self._fast = fast
        self._ring: RingBuffer | None = None
        self._sample_rate = 0
        self._marks: deque[tuple[int, SourceItem]] = deque()  # what is no sound, and the frame it stands before
        self._missing_samples = 0  # in the recording itself
        self._failure: Exception | None = None
        self._producer_done = threading.Event()
        self._close_event = threading.Event()

    @property
    def dropped_samples(self) -> int:
        """Samples (per channel) lost so far, all of them said as `Gap`."""
        return self._missing_samples + (self._ring.dropped_frames if self._ring else 0)

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._close_event.set()
        if not isinstance(self._source, Iterator):  # a generator cannot be closed from another thread
            close = getattr(self._source, "close", None)
            if close is not None:  # a file may be waiting for a pipe that delivers nothing
                close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Blocks of 20 ms as they become due. Raises what the recorded source raises, after its last block."""
        producer = threading.Thread(target=self._produce, name=f"play {self.name}", daemon=True)
        producer.start()
        try:
            yield from self._consume()
        finally:
            self.close()
            producer.join()
        if self._failure is not None:
            raise self._failure

    def _consume(self) -> Iterator[SourceItem]:
        position = 0
        while not self._close_event.is_set():
            last_look = self._producer_done.is_set()  # asked first: what was written before it is then read
            chunk = self._ring.read_chunk() if self._ring else None
            if chunk is not None:
                if chunk.missing_before:
                    yield Gap(chunk.missing_before, "overflow")
                position += chunk.missing_before
                yield from self._due_items(position)
                yield Block(chunk.samples, self._sample_rate, to_unix_time(chunk.arrived))
                position += len(chunk.samples)
            elif last_look:
                if self._ring and self._ring.dropped_after_last:
                    yield Gap(self._ring.dropped_after_last, "overflow")
                yield from self._due_items(None)
                return
            else:
                time.sleep(POLL_S)

    def _due_items(self, position: int | None) -> Iterator[SourceItem]:
        while self._marks and (position is None or self._marks[0][0] <= position):
            yield self._marks.popleft()[1]

    def _produce(self) -> None:
        started, produced = time.monotonic(), 0
        try:
            for item in self._source:
                if self._close_event.is_set():
                    return
                if not isinstance(item, Block):
                    self._missing_samples += item.missing_samples if isinstance(item, Gap) else 0
                    self._marks.append((produced, item))
                    continue
                if self._ring is None:
                    self._sample_rate = item.sample_rate
                    channels = item.samples.shape[1]
                    frames = min(round(RING_S * item.sample_rate), _RING_BYTES // (4 * channels))
                    self._ring = RingBuffer(frames, channels)
                    started = time.monotonic()  # opening the file took its time
                buffer = max(1, round(BUFFER_S * item.sample_rate))
                for start in range(0, len(item.samples), buffer):
                    samples = item.samples[start : start + buffer]
                    produced += len(samples)
                    if not self._wait_until_due(self._ring, samples, started + produced / item.sample_rate):
                        return
                    self._ring.write_chunk(samples, time.monotonic())
        except Exception as error:  # whatever it is, it is the reader's thread that must hear of it
            self._failure = error
        finally:
            self._producer_done.set()

    def _wait_until_due(self, ring: RingBuffer, samples: Samples, due: float) -> bool:
        """Wait until the samples may be written; whether to go on."""
        if self._fast:
            while not ring.has_room(len(samples)):
                if self._close_event.wait(POLL_S):
                    return False
            return not self._close_event.is_set()
        return not self._close_event.wait(max(0.0, due - time.monotonic()))
