"""The boundary detector: decisions with their times, and boundaries that a jingle confirms."""

import pickle

import numpy as np
import pytest

from streamseg.engine.boundaries.detector import BoundaryDetector
from streamseg.engine.features.front_end import FrontEnd
from streamseg.engine.models.loader import load_boundary_model
from streamseg.engine.timeline import Timeline
from streamseg.settings import ENGINE_RATE, make_settings

SETTINGS = make_settings("room", lookahead_s=5.0)


def make_scenes(seconds: int) -> np.ndarray:
    """A chord, then noise."""
    t = np.arange(seconds * ENGINE_RATE) / ENGINE_RATE
    chord = 0.1 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in (1, 2, 3))
    noise = np.random.default_rng(1).normal(0, 0.1, len(t))
    return np.concatenate([chord, noise]).astype(np.float32)[:, None]


class Stream:
    """A timeline and a detector, and what feeds them."""

    def __init__(self) -> None:
        self.timeline = Timeline(ENGINE_RATE)
        self.detector = BoundaryDetector(SETTINGS, load_boundary_model("room"), self.timeline)
        self.front_end = FrontEnd(ENGINE_RATE)

    def push(self, samples: np.ndarray) -> list:
        self.timeline.push_samples(len(samples))
        decisions = []
        for frames, vector in self.front_end.push(samples):
            self.timeline.push_frames(len(frames))
            self.detector.store_frames(frames)
            if vector is not None:
                self.timeline.push_step()
                decisions += self.detector.push(vector)
        return decisions


def confirmations(decisions: list) -> list:
    return [each for each in decisions if each.decision.state == "confirmed"]


def test_a_boundary_is_located_to_the_frame_when_it_is_decided():
    (boundary,) = confirmations(Stream().push(make_scenes(12)))
    assert boundary.t == pytest.approx(12.0, abs=0.1)
    assert boundary.t < boundary.decided_t < 24.0
    assert 0.0 < boundary.uncertainty_s < 0.5
    assert boundary.jingle is None


def test_a_jingle_confirms_a_boundary_exactly_where_it_starts():
    stream = Stream()
    stream.push(make_scenes(6)[: 5 * ENGINE_RATE])
    (boundary,) = stream.detector.confirm_boundary_at_jingle(3.21, 0.9, "News")
    assert (boundary.decision.state, boundary.t, boundary.jingle) == ("confirmed", 3.21, "News")
    assert boundary.decision.probability == 0.9
    assert boundary.decided_t == stream.timeline.decision_time


def test_a_jingle_before_the_last_boundary_confirms_nothing():
    stream = Stream()
    (boundary,) = confirmations(stream.push(make_scenes(12)))
    assert stream.detector.confirm_boundary_at_jingle(boundary.t - 2.0, 0.9, "News") == []


def test_a_restart_forgets_the_sound_and_goes_on_counting():
    stream = Stream()
    (before,) = confirmations(stream.push(make_scenes(12)))
    stream.timeline.push_gap(10 * ENGINE_RATE)
    stream.timeline.start_stretch(restart_steps=True)
    stream.detector.restart()
    stream.front_end = FrontEnd(ENGINE_RATE)
    (after,) = confirmations(stream.push(make_scenes(12)))
    assert after.t == pytest.approx(24.0 + 10.0 + 12.0, abs=0.1)
    assert after.decision.number > before.decision.number


def test_what_is_pending_at_the_end_is_decided_and_a_checkpoint_does_not_show():
    stream = Stream()
    stream.push(make_scenes(8)[: 10 * ENGINE_RATE])
    copy = pickle.loads(pickle.dumps(stream))
    decisions = stream.detector.decide_all_pending_at_end()
    assert copy.detector.decide_all_pending_at_end() == decisions
    assert [(each.decision.state, each.t) for each in decisions] == [("confirmed", pytest.approx(8.0, abs=0.1))]
    assert stream.detector.decide_all_pending_at_end() == []
