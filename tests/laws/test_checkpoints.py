"""Law 6: a checkpoint is invisible."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from laws.engine_scenes import QUICK, SOUND, SOUND_48, cut, heard, whole, whole_48
from streamseg.engine import Segmenter


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=4), st.booleans())
def test_a_checkpoint_is_invisible(stops, at_48):
    sound, rate, expected = (SOUND_48, 48_000, whole_48()) if at_48 else (SOUND, 22_050, whole())
    segmenter = Segmenter(QUICK, sample_rate=rate, telemetry=True)
    events, at = [], 0
    for stop in stops:
        events += segmenter.push(sound[at : at + stop])
        at += stop
        segmenter = pickle.loads(pickle.dumps(segmenter))
    events += segmenter.push(sound[at:])
    assert events + segmenter.finish() == expected


def test_a_checkpoint_among_tiny_pushes_is_invisible():
    short = SOUND_48[8 * 48_000 : 11 * 48_000]
    segmenter, events = Segmenter(QUICK, sample_rate=48_000, telemetry=True), []
    for n, piece in enumerate(cut(short, [1, 50, 1])):
        events += segmenter.push(piece)
        if n % 500 == 0:
            t = segmenter.t
            segmenter = pickle.loads(pickle.dumps(segmenter))
            assert segmenter.t == t
    assert events + segmenter.finish() == heard([short], 48_000)
