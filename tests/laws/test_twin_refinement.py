"""The refinement of a boundary, written down as it stands: one frame after the other, all means from the frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.boundaries.refinement import (
    REFINEMENT_WEIGHTS,
    BoundaryRefiner,
    compute_difference_curves,
    describe_candidate_frames,
    select_refinement_columns,
)
from streamseg.engine.features import COLUMNS, COLUMNS_TOTAL
from streamseg.engine.features.texture import TEXTURE_MEAN, TEXTURE_STD

REACH, HALF_CLUSTER = 65, 17  # frames


def change(x, at, span):
    """By how much the mean of the frames from `at` on is higher than that of the frames before."""
    before, after = x[max(0, at - span) : at], x[at : at + span]
    return after.mean(axis=0) - (before.mean(axis=0) if len(before) else 0)


def curves_at(frames, at):
    mfcc, chroma, contrast, log_mel, onset, level = (
        frames[:, COLUMNS[name]] for name in ("mfcc", "chroma", "contrast", "log_mel", "onset", "rms_db")
    )
    texture = (np.hstack([mfcc, chroma, contrast]) - TEXTURE_MEAN[:39]) / TEXTURE_STD[:39]
    spectrum = np.clip((log_mel + 45) / 14, -4, 4)
    for x in (texture[:, :20], texture[:, 20:32], texture[:, 32:], spectrum, spectrum[:, :12]):
        for span in (13, 26, 52, 108):
            yield np.sqrt((change(x, at, span) ** 2).mean())
    for reach in (0, 4, 10):
        yield onset[max(0, at - reach) : at + reach + 1].max() / 10
    for span in (8, 22, 43):
        yield change(np.clip(level[:, 0], -70, 0) / 6, at, span)


def naive_curves(frames, places):
    return np.array([list(curves_at(frames, at)) for at in places])


def described(curves, offsets):
    spread = curves.std(axis=0) + 0.01
    for curve, offset in zip(curves, offsets, strict=True):
        seconds = abs(offset) * 512 / 22_050
        to_mean, to_maximum = (curve - curves.mean(axis=0)) / spread, (curve - curves.max(axis=0)) / spread
        yield [*curve, *to_mean, *to_maximum, seconds**2, seconds]


def refined(frames, coarse):
    """(frame, standard deviation) of the boundary."""
    places = np.arange(max(coarse - REACH, 1), min(coarse + REACH, len(frames) - 2) + 1)
    odds = np.exp(np.array(list(described(naive_curves(frames, places), places - coarse))) @ REFINEMENT_WEIGHTS)
    chance = odds / odds.sum()
    near = [abs(places - place) <= HALF_CLUSTER for place in places]
    cluster = max(near, key=lambda each: chance[each].sum())
    frame = chance[cluster] @ places[cluster] / chance[cluster].sum()
    return round(frame), np.sqrt(chance @ (places - chance @ places) ** 2)


def some_frames(rng, n):
    """Frames whose sound changes here and there."""
    scenes = rng.normal(size=(4, COLUMNS_TOTAL)) * 6
    frames = scenes[np.sort(rng.integers(0, 4, n))] + rng.normal(size=(n, COLUMNS_TOTAL)) * 4
    frames[:, COLUMNS["onset"]] = np.abs(frames[:, COLUMNS["onset"]])
    frames[:, COLUMNS["log_mel"]] -= 45
    frames[:, COLUMNS["rms_db"]] = 10 * frames[:, COLUMNS["rms_db"]] - 40
    return frames.astype(np.float32).astype(np.float64)  # as they are stored


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 260))
def test_curves_and_inputs_are_their_naive_twins(seed, n):
    frames = some_frames(np.random.default_rng(seed), n)
    curves, offsets = compute_difference_curves(select_refinement_columns(frames)), np.arange(n) - n // 3
    assert curves == pytest.approx(naive_curves(frames, range(n)), abs=1e-9)
    assert describe_candidate_frames(curves, offsets) == pytest.approx(np.array(list(described(curves, offsets))))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 700), st.integers(0, 86))
def test_the_refinement_is_its_naive_twin(seed, n, age):
    rng = np.random.default_rng(seed)
    frames = some_frames(rng, n)
    refiner = BoundaryRefiner(lookback_s=2.0)
    for part in np.array_split(frames, int(rng.integers(1, 9))):
        refiner.store_frames(part)
    found, (frame, std) = refiner.refine_boundary(max(0, n - age)), refined(frames, max(0, n - age))
    assert found.frame == frame
    assert found.std == pytest.approx(std)


def test_too_few_frames_leave_the_boundary_where_it_is():
    refiner = BoundaryRefiner(lookback_s=2.0)
    refiner.store_frames(some_frames(np.random.default_rng(1), 19))
    assert refiner.refine_boundary(7) == (7, REACH)
