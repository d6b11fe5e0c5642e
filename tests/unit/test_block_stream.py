"""`segment` processes every kind of item that a source yields, in any order."""

import numpy as np
import pytest

from streamseg import Block, StreamGap, StreamStarted, StreamTitle, UsageError, make_settings, segment
from streamseg.blocks import Gap, Title

RATE = 22_050
SAMPLES = np.random.default_rng(0).standard_normal((RATE, 1)).astype(np.float32) / 10


def test_what_comes_before_the_first_sound_is_reported_after_the_start():
    items = [Title("News"), Gap(RATE, "overflow"), Block(SAMPLES, RATE)]
    data = [event.data for event in segment(items, make_settings("room"))]
    assert [type(each) for each in data[:3]] == [StreamStarted, StreamTitle, StreamGap]
    assert data[-1].t == 2.0


def test_arrays_may_follow_a_title():
    data = [event.data for event in segment([Title("News"), SAMPLES], make_settings("room"), sample_rate=RATE)]
    assert [type(each) for each in data[:2]] == [StreamStarted, StreamTitle]


def test_a_block_of_another_rate_is_refused():
    with pytest.raises(UsageError, match="a block of 44100 Hz in a stream of 22050 Hz"):
        list(segment([Block(SAMPLES, RATE), Block(SAMPLES, 44_100)]))


def test_a_source_without_sound_has_no_events():
    assert list(segment([Title("News")])) == []
