"""Laws 3 and 4: memory is bounded, and an array that was pushed is neither changed nor kept."""

import pickle

import numpy as np
import pytest

from laws.engine_scenes import QUICK, SOUND, boundaries, cut, heard, scenes
from streamseg.engine import Segmenter
from streamseg.settings import make_settings


def test_memory_is_bounded():
    """Ten hours are too long here; the horizon is full after six minutes, and twice that shows growth."""
    old = make_settings("room", labels_max=4)
    segmenter = Segmenter(old, telemetry=True)
    rng = np.random.default_rng(5)
    sizes = []
    for round_ in range(24):
        for _ in range(3):
            segmenter.push(scenes(22_050, (5, 5, 5), seed=int(rng.integers(1e6))))
        if round_ in (4, 23):
            sizes.append(len(pickle.dumps(segmenter)))
    assert sizes[1] <= 1.1 * sizes[0]


@pytest.mark.parametrize("size", [30, 30_000])
def test_no_aliasing(size):
    block = SOUND.copy()
    segmenter = Segmenter(QUICK)
    said = []
    for piece in cut(block, [size]):
        before = piece.copy()
        said += segmenter.push(piece)
        assert np.array_equal(piece, before)
        piece[:] = np.nan
    assert boundaries(said + segmenter.finish()) == boundaries(heard([SOUND], telemetry=False))
