"""Loss, lateness and drift, told apart on made-up arrival times: no card, no clock, no waiting."""

import numpy as np
import pytest

from streamseg.blocks import Block, Gap
from streamseg.sources.loss_detector import LossDetector
from streamseg.sources.ring_buffer import RingChunk

RATE = 48_000
N = 1200  # 25 ms


def watch():
    return LossDetector(RATE, lambda arrived: 1_000_000.0 + arrived)


def chunk(arrived, n=N, missing=0, value=0.0):
    return RingChunk(np.full((n, 1), value, np.float32), arrived, missing)


def hear(arrivals, the_watch=None):
    """All items, the arrival at which each was given, and the watch. Chunks bear their number."""
    the_watch = the_watch or watch()
    items, given_at = [], []
    for number, arrived in enumerate(arrivals):
        for item in the_watch.push_chunk(chunk(arrived, value=number)):
            items.append(item)
            given_at.append(arrived)
    rest = the_watch.flush_withheld_items()
    return items + rest, given_at + [arrivals[-1]] * len(rest), the_watch


def gaps(items):
    """Each gap with the number of the chunk that follows it."""
    found = []
    for at, item in enumerate(items):
        if isinstance(item, Gap):
            following = next((i for i in items[at:] if isinstance(i, Block)), None)
            found.append((item, None if following is None else int(following.samples[0, 0])))
    return found


def numbers(items):
    return [int(item.samples[0, 0]) for item in items if isinstance(item, Block)]


def on_time(count, start=0.0, rate=RATE, first=1):
    return [start + (first + n) * N / rate for n in range(count)]


def test_a_punctual_card_passes_through_at_once():
    arrivals = on_time(400)
    items, given_at, the_watch = hear(arrivals)
    assert numbers(items) == list(range(400))
    assert given_at == arrivals
    assert the_watch.missing_samples == 0
    assert items[0].captured_at == 1_000_000.0 + arrivals[0]
    assert items[0].sample_rate == RATE


@pytest.mark.parametrize("ppm", [-500, -150, 150, 500, 1500])
def test_drift_is_never_a_gap_not_in_twenty_minutes(ppm):
    items, _, _ = hear(on_time(1200 * 40, rate=RATE * (1 + ppm * 1e-6)))
    assert gaps(items) == []


def test_jitter_is_not_a_gap():
    rng = np.random.default_rng(0)
    late = rng.exponential(0.006, 20_000)
    arrivals = np.maximum.accumulate(np.array(on_time(20_000)) + late)
    items, _, _ = hear(arrivals)
    assert gaps(items) == []


def test_a_late_backlog_is_late_and_not_lost():
    """The callback was held up for three seconds; the sound server had kept everything."""
    arrivals = on_time(100)
    freeze_end = arrivals[-1] + 3.0
    backlog = [freeze_end + 0.0001 * n for n in range(120)]
    later = [freeze_end + (1 + n) * 0.025 for n in range(100)]
    items, given_at, the_watch = hear(arrivals + backlog + later)
    assert gaps(items) == []
    assert numbers(items) == list(range(320))
    assert the_watch.missing_samples == 0
    assert given_at[100] - freeze_end < 0.05  # held back no longer than the backlog took


def test_a_slow_backlog_is_waited_for():
    arrivals = on_time(100)
    freeze_end = arrivals[-1] + 2.0
    backlog = [freeze_end + 0.0125 * n for n in range(160)]  # twice as fast as sound
    last = backlog[-1]
    items, _, _ = hear(arrivals + backlog + [last + 0.025 * (n + 1) for n in range(100)])
    assert gaps(items) == []


@pytest.mark.parametrize("lost_s", [0.06, 0.1, 0.5, 1.0, 7.3])
def test_lost_sound_is_a_gap_before_the_first_chunk_after_it(lost_s):
    arrivals = on_time(100) + on_time(200, start=lost_s, first=101)
    items, _, the_watch = hear(arrivals)
    [(gap, following)] = gaps(items)
    assert gap.cause == "overflow"
    assert abs(gap.missing_samples - lost_s * RATE) < 0.002 * RATE
    assert following == 100
    assert numbers(items) == list(range(300))
    assert the_watch.missing_samples == gap.missing_samples


def test_loss_behind_a_backlog_stands_behind_the_backlog():
    """The queue of the sound server kept two seconds and refused the rest."""
    arrivals = on_time(100)
    freeze_end = arrivals[-1] + 5.0
    backlog = [freeze_end + 0.0001 * n for n in range(80)]
    later = [freeze_end + (1 + n) * 0.025 for n in range(100)]
    items, _, _ = hear(arrivals + backlog + later)
    [(gap, following)] = gaps(items)
    assert abs(gap.missing_samples - 3.0 * RATE) < 0.03 * RATE
    assert following == 180


def test_crumbs_lost_again_and_again_add_up():
    arrivals, late = [], 0.0
    for n in range(2000):  # 50 s
        if n % 40 == 39:
            late += 0.01  # 10 ms lost every second: 1 %
        arrivals.append((n + 1) * 0.025 + late)
    items, _, the_watch = hear(arrivals)
    assert len(gaps(items)) > 3
    assert 0.7 * late < the_watch.missing_samples / RATE <= late


def test_what_the_ring_dropped_is_said_exactly_and_once():
    the_watch = watch()
    items = []
    for n in range(200):
        arrived = (n + 1) * 0.025
        if n in (50, 51, 52):
            continue  # dropped for want of room, not lost by the card
        items += the_watch.push_chunk(chunk(arrived, value=n, missing=3 * N if n == 53 else 0))
    assert gaps(items) == [(Gap(3 * N, "overflow"), 53)]
    assert the_watch.missing_samples == 3 * N


def test_a_reopened_card_has_no_backlog_and_its_gap_says_why():
    the_watch = watch()
    hear(on_time(100), the_watch)
    the_watch.expect_loss("device-lost", is_reopened=True)
    back = 2.5 + 4.0
    arrivals = [back, back + 0.001, back + 0.02, *(back + 0.02 + 0.025 * n for n in range(1, 100))]
    second, _, _ = hear(arrivals, the_watch)
    [(gap, following)] = gaps(second)
    assert (gap.cause, following) == ("device-lost", 0)
    assert isinstance(second[0], Gap)
    assert abs(gap.missing_samples - 4.0 * RATE) < 0.06 * RATE
    assert numbers(second) == list(range(102))


def test_a_feared_loss_that_did_not_come_is_forgotten():
    the_watch = watch()
    hear(on_time(100), the_watch)
    the_watch.expect_loss("stalled", is_reopened=False)
    freeze_end = 2.5 + 2.0
    backlog = [freeze_end + 0.0001 * n for n in range(80)]
    hear(backlog + [freeze_end + 0.025 * (n + 1) for n in range(40)], the_watch)
    lost = [freeze_end + 1.0 + 0.5 + 0.025 * (n + 1) for n in range(60)]
    items, _, _ = hear(lost, the_watch)
    [(gap, _)] = gaps(items)
    assert gap.cause == "overflow"


def test_at_the_end_what_is_held_comes_out():
    items, _, _ = hear([*on_time(10), 10 * 0.025 + 1.0])
    assert numbers(items) == list(range(11))
