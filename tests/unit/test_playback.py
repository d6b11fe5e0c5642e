"""Playback: a file in real time, or as fast as it is read."""

import threading
import time

import numpy as np
import pytest
from source_items import samples_of, scene

from streamseg.blocks import Block, Gap, SourceAvailabilityChange, Title
from streamseg.errors import TruncatedSourceError
from streamseg.sources import PacedSource, open_source, playback
from tools import sound_files as sound


def test_playback_takes_as_long_as_the_sound_and_loses_nothing():
    block = scene(1.5)
    started = time.monotonic()
    arrivals, items = [], []
    for item in PacedSource([block], "x"):
        arrivals.append(time.monotonic() - started)
        items.append(item)
    np.testing.assert_array_equal(samples_of(items), block.samples)
    assert 1.4 < arrivals[-1] < 2.5
    due = 0.02 * np.arange(1, 1 + len(items))
    assert np.median(np.array(arrivals) - due) < 0.05
    assert abs(items[-1].captured_at - time.time()) < 1.0


def test_fast_playback_loses_nothing_to_a_slow_reader():
    block = scene(30.0)  # three times what the ring holds
    source = PacedSource([block], "x", fast=True)
    started = time.monotonic()
    items = []
    for item in source:
        items.append(item)
        if len(items) == 1:
            time.sleep(0.3)
    np.testing.assert_array_equal(samples_of(items), block.samples)
    assert source.dropped_samples == 0
    assert time.monotonic() - started < 10


def test_playback_to_a_reader_that_is_away_too_long_says_what_it_lost(monkeypatch):
    """Real time, like a card: a second passes, the ring holds half of one."""
    monkeypatch.setattr(playback, "RING_S", 0.5)
    block = scene(1.5)
    source = PacedSource([block], "x")
    items = iter(source)
    heard = [next(items)]
    time.sleep(1.0)
    heard += list(items)
    gaps = [item for item in heard if isinstance(item, Gap)]
    assert [gap.cause for gap in gaps] == ["overflow"]
    assert source.dropped_samples == gaps[0].missing_samples
    at = next(n for n, item in enumerate(heard) if isinstance(item, Gap))
    before, after = samples_of(heard[:at]), samples_of(heard[at:])
    np.testing.assert_array_equal(before, block.samples[: len(before)])
    np.testing.assert_array_equal(after, block.samples[len(before) + gaps[0].missing_samples :])


def test_what_is_no_sound_keeps_its_place():
    first, second = scene(0.5), scene(0.25)
    played = [
        Title("a"),
        first,
        Gap(80, "network"),
        SourceAvailabilityChange("gone"),
        SourceAvailabilityChange("", back=True, away_s=1.0),
        second,
        Title("b"),
    ]
    source = PacedSource(played, "x", fast=True)
    items = list(source)
    others = [(n, item) for n, item in enumerate(items) if not isinstance(item, Block)]
    assert [item for _, item in others] == [item for item in played if not isinstance(item, Block)]
    gap_at = others[1][0]
    assert len(samples_of(items[:gap_at])) == len(first.samples)
    assert source.dropped_samples == 80


def test_a_failure_of_the_file_comes_after_its_last_sound(tmp_path):
    path = sound.cut(sound.write(tmp_path / "a.flac", sound.pulsed_noise(4.0)))
    heard = []
    with pytest.raises(TruncatedSourceError):
        heard.extend(open_source(str(path), live=True, fast=True))
    assert len(samples_of(heard)) > 2 * sound.RATE


def test_closed_playback_ends_in_the_middle():
    source = PacedSource([scene(60.0)], "x")
    closing = threading.Timer(0.3, source.close)
    closing.start()
    started = time.monotonic()
    items = iter(source)
    next(items)
    (producer,) = (thread for thread in threading.enumerate() if thread.name == "play x")
    list(items)
    assert time.monotonic() - started < 2
    assert not producer.is_alive()
    closing.join()
