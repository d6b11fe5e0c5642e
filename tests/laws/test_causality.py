"""Law 2: the future cannot change the past."""

from hypothesis import given, settings
from hypothesis import strategies as st

from laws.engine_scenes import QUICK, SOUND, whole
from streamseg.engine import Segmenter
from streamseg.wire.events import StreamStopped


@settings(max_examples=12, deadline=None)
@given(st.integers(1, len(SOUND) - 1))
def test_the_future_cannot_change_the_past(end):
    segmenter = Segmenter(QUICK, telemetry=True)
    said = segmenter.push(SOUND[:end])
    assert said == whole()[: len(said)]
    *settled, last = segmenter.finish()
    assert isinstance(last.data, StreamStopped)
    for event in settled:  # what only the ending decided is marked
        assert event in whole() or getattr(event.data, "at_end", False), event
