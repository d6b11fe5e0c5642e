"""The demo's programme: always the same, honest about its truth, and never harsh."""

import numpy as np
import pytest

from streamseg.blocks import Block
from streamseg.sources.demo_programme import SAMPLE_RATE, DemoProgramme, list_demo_scenes, render_programme


@pytest.fixture(scope="module")
def samples():
    return render_programme()


def scene_sound(samples, scene):
    return samples[round(scene.start_s * SAMPLE_RATE) : round(scene.end_s * SAMPLE_RATE), 0]


def test_it_is_the_same_every_time(samples):
    blocks = list(DemoProgramme())
    assert all(isinstance(block, Block) and block.sample_rate == SAMPLE_RATE for block in blocks)
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), samples)


def test_scenes_cover_it_and_one_returns(samples):
    order = list_demo_scenes()
    assert order[0].start_s == 0.0
    assert order[-1].end_s == len(samples) / SAMPLE_RATE
    assert [scene.end_s for scene in order[:-1]] == [scene.start_s for scene in order[1:]]
    names = [scene.name for scene in order]
    assert names.count(names[-1]) == 2
    assert names[-2] != names[-1]
    assert 70 <= order[-1].end_s <= 90


def test_levels_are_pleasant_and_silence_is_silent(samples):
    assert samples.dtype == np.float32
    assert samples.shape[1] == 1
    assert np.abs(samples).max() < 1.0
    for scene in list_demo_scenes():
        rms_db = 20 * np.log10(np.sqrt(np.mean(scene_sound(samples, scene) ** 2)))
        assert -90 < rms_db < -70 if scene.name == "silence" else -26 < rms_db < -14, scene.name


def test_no_click_gives_a_change_away(samples):
    """The step at a join is no larger than steps inside the scenes beside it."""
    for scene in list_demo_scenes()[1:]:
        at = round(scene.start_s * SAMPLE_RATE)
        joint = np.abs(np.diff(samples[at - 20 : at + 20, 0])).max()
        beside = np.abs(np.diff(samples[at - SAMPLE_RATE : at + SAMPLE_RATE, 0])).max()
        assert joint < 0.2 * beside


def test_it_can_be_closed():
    programme = DemoProgramme()
    blocks = iter(programme)
    next(blocks)
    programme.close()
    assert next(blocks, None) is None
