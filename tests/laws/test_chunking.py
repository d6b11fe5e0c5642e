"""Law 1, chunking is invisible: the same sound in pieces of any size gives the same events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laws.engine_scenes import QUICK, SOUND, SOUND_48, boundaries, cut, heard, whole, whole_48
from streamseg.engine import Segmenter
from streamseg.wire.events import SectionClosed, StreamStarted, StreamStopped


def test_it_hears_the_changes():
    for events in (whole(), whole_48()):
        found = boundaries(events)
        assert len(found) == 2
        assert np.allclose(found, [9, 17], atol=0.1)
        closed = [event.data for event in events if isinstance(event.data, SectionClosed)]
        assert [section.start for section in closed] == [0.0, *found]
        assert closed[-1].at_end
        assert closed[-1].end == pytest.approx(26.0)
        assert isinstance(events[0].data, StreamStarted)
        assert isinstance(events[-1].data, StreamStopped)


class TestChunkingIsInvisible:
    @pytest.mark.parametrize("size", [7, 512, 4096])
    def test_fixed_sizes(self, size):
        assert heard(cut(SOUND, [size])) == whole()

    def test_one_sample_at_a_time(self):
        assert heard(cut(SOUND, [1])) == whole()

    def test_one_sample_at_a_time_through_the_resampler(self):
        short = SOUND_48[7 * 48_000 : 13 * 48_000]
        assert heard(cut(short, [1]), 48_000) == heard([short], 48_000)

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.sampled_from([0, 1, 2, 17, 109, 110, 111, 4_000]), min_size=1, max_size=9).filter(any))
    def test_tiny_and_large_ones_in_turn(self, sizes):
        short = SOUND[7 * 22_050 : 13 * 22_050]
        assert heard(cut(short, sizes)) == heard([short])

    def test_tiny_arrays_of_every_kind(self):
        short = SOUND[: 2 * 22_050]
        kinds = [
            lambda part: part[:, None],
            lambda part: part.astype(np.float64),
            lambda part: part.astype(">f4"),
            lambda part: np.stack((part, part), axis=1)[:, 0],
            list,
        ]
        pieces = [kinds[n // 3 % len(kinds)](part) for n, part in enumerate(cut(short, [5]))]
        assert heard(pieces) == heard([short])

    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.integers(0, 60_000), min_size=1, max_size=12).filter(lambda sizes: sum(sizes) > 2_000))
    def test_any_sizes(self, sizes):
        assert heard(cut(SOUND, sizes)) == whole()

    @settings(max_examples=6, deadline=None)
    @given(st.lists(st.integers(0, 60_000), min_size=1, max_size=12).filter(lambda sizes: sum(sizes) > 4_000))
    def test_any_sizes_through_the_resampler(self, sizes):
        assert heard(cut(SOUND_48, sizes), 48_000) == whole_48()


def arrivals(pieces):
    """Each event, with the stream time up to which samples were pushed when it came."""
    segmenter = Segmenter(QUICK, telemetry=True)
    return [(segmenter.t, event) for piece in pieces for event in segmenter.push(piece)]


def test_tiny_pushes_delay_no_event_by_more_than_5_ms():
    short = SOUND[7 * 22_050 : 13 * 22_050]
    at_once, gathered = arrivals(cut(short, [110])), arrivals([*cut(short[:40], [1]), *cut(short[40:], [3])])
    assert gathered[0][0] == 1 / 22_050  # the stream starts with its first sample
    assert len(gathered) == len(at_once) > 50
    for (soonest, event), (came, same) in zip(at_once, gathered, strict=True):
        assert same == event
        assert came <= soonest + 0.005
