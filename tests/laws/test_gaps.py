"""Gaps, titles and losses: time goes on, and each keeps its place among the samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laws.engine_scenes import QUICK, SOUND, boundaries, cut
from streamseg.blocks import Block, Gap, SourceAvailabilityChange, Title
from streamseg.engine import Segmenter, segment
from streamseg.wire.events import MeterReading, SectionClosed, StreamLost, StreamResumed, StreamStarted, StreamTitle


class TestGaps:
    def test_time_goes_on_and_the_join_is_no_boundary(self):
        half = len(SOUND) // 6
        segmenter = Segmenter(QUICK)
        events = segmenter.push(SOUND[:half]) + segmenter.push_gap(22_050, "overflow") + segmenter.push(SOUND[half:])
        events += segmenter.finish()
        assert [event.data.missing_s for event in events if event.type == "streamseg.stream.gap.v1"] == [1.0]
        assert np.allclose(boundaries(events), [10, 18], atol=0.2)
        assert events[-1].data.t == pytest.approx(27.0)

    def test_more_gaps_than_are_remembered(self):
        segmenter = Segmenter(QUICK)
        events = []
        pieces = cut(SOUND, [22_050 // 8])
        for piece in pieces:
            events += segmenter.push(piece) + segmenter.push_gap(64, "overflow")
        events += segmenter.finish()
        assert events[-1].data.totals["missing_s"] == pytest.approx(len(pieces) * 64 / 22_050, abs=1e-5)

    def test_a_long_gap_ends_the_section(self):
        segmenter = Segmenter(QUICK)
        events = segmenter.push(SOUND[: 4 * 22_050]) + segmenter.push_gap(5 * 22_050, "device-lost")
        events += segmenter.push(SOUND[4 * 22_050 :]) + segmenter.finish()
        closed = [event.data for event in events if isinstance(event.data, SectionClosed)]
        assert (closed[0].ended_by, closed[0].end, closed[1].start) == ("gap", pytest.approx(4.0), pytest.approx(9.0))
        assert np.allclose(boundaries(events), [14, 22], atol=0.2)

    @settings(max_examples=8, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 200_000), st.integers(1, 120_000)), min_size=1, max_size=3),
        st.sampled_from([1, 45, 997]),
    )
    def test_a_recorded_stream_with_gaps_replays_exactly(self, plan, size):
        items, at = [], 0
        for length, missing in plan:
            items += [Block(SOUND[at : at + length, None], 22_050), Gap(missing, "overflow"), Title("x")]
            at += length
            items += [
                Block(SOUND[at : at + 50, None], 22_050),
                Title("y"),
                SourceAvailabilityChange("gone"),
                SourceAvailabilityChange("back", back=True),
            ]
            at += 50
        once = list(segment(items, QUICK))
        fine = [
            piece
            for item in items
            for piece in (
                [Block(part, 22_050) for part in cut(item.samples, [size])] if isinstance(item, Block) else [item]
            )
        ]
        assert list(segment(fine, QUICK)) == once


def test_what_is_no_sound_comes_after_the_tiny_push_before_it():
    segmenter, events, at = Segmenter(QUICK, telemetry=True), [], 0
    # Samples that complete a frame whose meter is said.
    for end, item in (
        (2_048, Title("x")),
        (4_608, SourceAvailabilityChange("gone")),
        (7_168, SourceAvailabilityChange("", back=True)),
    ):
        events += (
            segmenter.push(SOUND[at : end - 20]) + segmenter.push(SOUND[end - 20 : end]) + segmenter.push_item(item)
        )
        at = end
    kinds = [type(event.data) for event in events]
    assert kinds == [StreamStarted, MeterReading, StreamTitle, MeterReading, StreamLost, MeterReading, StreamResumed]
    assert [event.data.t for event in events[2::2]] == [round(end / 22_050, 6) for end in (2_048, 4_608, 7_168)]
