"""Stream time: samples, frames and steps over stretches, gaps included."""

import numpy as np
import pytest

from streamseg.engine.features.front_end import FrontEnd
from streamseg.engine.timeline import Timeline, boundary_time, step_to_time, time_after_steps
from streamseg.settings import ENGINE_RATE

RATE = 48_000


def advance(timeline: Timeline, seconds: float) -> None:
    """Count what the front end makes of so much sound."""
    samples = np.zeros((round(seconds * RATE), 1), np.float32)
    timeline.push_samples(len(samples))
    front_end = FrontEnd(RATE)
    for frames, vector in front_end.push(samples) + front_end.flush():
        timeline.push_frames(len(frames))
        if vector is not None:
            timeline.push_step()


def located_time(timeline: Timeline, step: int) -> float:
    return boundary_time(*timeline.locate_step(step))


def test_without_gaps_a_step_has_the_time_that_evaluation_computes():
    timeline = Timeline(RATE)
    advance(timeline, 10.0)
    for step in range(1, 18):
        assert located_time(timeline, step) == step_to_time(step) == step_to_time(np.arange(18))[step]


def test_decisions_rest_on_the_newest_frame():
    timeline = Timeline(ENGINE_RATE)
    timeline.push_frames(43 + 21)
    assert timeline.decision_time == pytest.approx(time_after_steps(2), abs=1e-6)


def test_step_and_time_are_inverse_in_every_stretch():
    timeline = Timeline(RATE)
    for _ in range(3):
        advance(timeline, 8.0)
        timeline.push_gap(RATE // 2)
        timeline.start_stretch()
    for step in range(1, 40):
        frame_s = 768 / ENGINE_RATE  # a boundary lies this much after the start of its frame
        assert timeline.step_at(located_time(timeline, step) - frame_s) == step
    assert [timeline.locate_step(step)[0] for step in (0, 14, 15, 30)] == [0.0, 0.0, 8.5, 17.0]


def test_a_restart_counts_steps_from_0():
    timeline = Timeline(RATE)
    advance(timeline, 8.0)
    timeline.push_gap(4 * RATE)
    assert timeline.start_stretch(restart_steps=True) == 12.0
    assert timeline.locate_step(0)[0] == 12.0
    assert timeline.step_at(3.0) == 0


def test_gaps_count_as_stream_time_but_not_as_sound():
    timeline = Timeline(RATE)
    advance(timeline, 2.0)
    timeline.push_gap(RATE)
    timeline.start_stretch()
    assert (timeline.now, timeline.received_s, timeline.missing_s, timeline.stretch_start) == (3.0, 2.0, 1.0, 3.0)


def test_only_the_newest_stretches_are_remembered():
    timeline = Timeline(RATE)
    for _ in range(200):
        timeline.push_samples(RATE)
        timeline.start_stretch()
    oldest, _ = timeline.locate_step(0)
    assert oldest > 100.0
    assert timeline.step_at(0.0) == 0
