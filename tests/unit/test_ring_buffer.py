"""The ring: nothing is lost unseen, nothing is torn, and a loss stands where it happened."""

import threading
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamseg.sources.ring_buffer import RingBuffer, to_unix_time


def numbered(start, n):
    """Frames that say which they are, in two channels. Exact in float32 up to 2**24."""
    return np.stack([np.arange(start, start + n), -np.arange(start, start + n)], axis=1).astype(np.float32)


def test_gives_back_what_went_in_write_by_write():
    ring = RingBuffer(10, 2)
    assert ring.read_chunk() is None
    assert ring.write_chunk(numbered(0, 4), 1.0)
    assert ring.write_chunk(numbered(4, 3), 2.0)
    first, second = ring.read_chunk(), ring.read_chunk()
    np.testing.assert_array_equal(first.samples, numbered(0, 4))
    np.testing.assert_array_equal(second.samples, numbered(4, 3))
    assert (first.arrival_s, second.arrival_s) == (1.0, 2.0)
    assert ring.read_chunk() is None


def test_a_chunk_is_the_readers_own_copy():
    ring = RingBuffer(4, 2)
    given_samples = numbered(0, 4)
    ring.write_chunk(given_samples, 0.0)
    given_samples[:] = 99
    chunk = ring.read_chunk()
    ring.write_chunk(numbered(50, 4), 0.0)
    np.testing.assert_array_equal(chunk.samples, numbered(0, 4))


def test_a_full_ring_drops_the_new_and_the_next_chunk_says_how_many():
    ring = RingBuffer(10, 2)
    assert ring.write_chunk(numbered(0, 8), 0.0)
    assert not ring.write_chunk(numbered(8, 3), 0.0)
    assert not ring.write_chunk(numbered(11, 4), 0.0)
    assert ring.write_chunk(numbered(15, 2), 0.0)  # what fits is kept
    assert ring.dropped_frames == 7
    kept, after = ring.read_chunk(), ring.read_chunk()
    assert (len(kept.samples), kept.missing_before) == (8, 0)
    assert (after.samples[0, 0], after.missing_before) == (15, 7)
    assert ring.unreported_dropped_frames == 0


def test_what_is_dropped_last_is_known_at_the_end():
    ring = RingBuffer(4, 1)
    ring.write_chunk(np.ones((4, 1), np.float32), 0.0)
    ring.write_chunk(np.ones((3, 1), np.float32), 0.0)
    assert ring.read_chunk().missing_before == 0
    assert ring.read_chunk() is None
    assert ring.unreported_dropped_frames == 3


def test_many_tiny_writes_are_bounded_too():
    ring = RingBuffer(100_000, 1)
    for _ in range(5000):
        ring.write_chunk(np.ones((1, 1), np.float32), 0.0)
    assert ring.dropped_frames == 5000 - 4096


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=200))
def test_frames_and_gaps_add_up_in_any_order_of_writes_and_reads(steps):
    ring = RingBuffer(16, 2)
    offered = heard = 0
    for writes, n in steps:
        if writes:
            ring.write_chunk(numbered(offered, n), 0.0)
            offered += n
        elif (chunk := ring.read_chunk()) is not None:
            heard += chunk.missing_before
            np.testing.assert_array_equal(chunk.samples, numbered(heard, len(chunk.samples)))
            heard += len(chunk.samples)
    while (chunk := ring.read_chunk()) is not None:
        heard += chunk.missing_before
        np.testing.assert_array_equal(chunk.samples, numbered(heard, len(chunk.samples)))
        heard += len(chunk.samples)
    assert heard + ring.unreported_dropped_frames == offered


def test_two_threads_for_three_seconds():
    """A writer that never waits against a reader that sometimes sleeps: every frame is heard or counted, in order."""
    ring = RingBuffer(5000, 2)
    stop = threading.Event()
    offered = 0

    def write():
        nonlocal offered
        sizes = np.random.default_rng(1).integers(1, 400, 997)
        n = 0
        while not stop.is_set():
            size = int(sizes[n % len(sizes)])
            ring.write_chunk(numbered(offered % (1 << 23), size), time.monotonic())
            offered += size
            n += 1
            if n % 50 == 0:
                time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    heard = missing = chunks = 0
    end = time.monotonic() + 3
    while time.monotonic() < end or writer.is_alive():
        if time.monotonic() >= end:
            stop.set()
        chunk = ring.read_chunk()
        if chunk is None:
            time.sleep(0)
            continue
        missing += chunk.missing_before
        heard += chunk.missing_before
        assert np.array_equal(chunk.samples, numbered(heard % (1 << 23), len(chunk.samples))), heard
        heard += len(chunk.samples)
        chunks += 1
        if chunks % 500 == 0:
            time.sleep(0.02)  # a busy worker
    writer.join()
    while (chunk := ring.read_chunk()) is not None:
        missing += chunk.missing_before
        heard += chunk.missing_before + len(chunk.samples)
    assert heard + ring.unreported_dropped_frames == offered
    assert ring.dropped_frames == missing + ring.unreported_dropped_frames
    assert missing > 0, "the reader was never slow enough for this test to mean anything"
    assert heard - missing > 100_000


def test_a_write_is_over_in_no_time():
    """Copies 25 ms of stereo, in less than 20 µs: the callback of the sound card must never wait."""
    ring = RingBuffer(48_000, 2)
    block = np.zeros((1200, 2), np.float32)
    took = []
    for _ in range(2000):
        start = time.perf_counter()
        ring.write_chunk(block, 0.0)
        took.append(time.perf_counter() - start)
        ring.read_chunk()
    assert np.median(took) < 20e-6


def test_the_wall_clock_of_a_moment():
    assert abs(to_unix_time(time.monotonic() - 5) - (time.time() - 5)) < 0.01
