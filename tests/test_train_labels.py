"""What tells whether two sections are the same, trained anew."""

import numpy as np

from streamseg.engine.likeness import compare, sketch
from streamseg.engine.texture import VECTOR_DIMS
from streamseg.evaluation.generated import RATE
from streamseg.evaluation.generated.mixes import Source
from streamseg.evaluation.generated.returns import Part, Return, Returns
from streamseg.evaluation.train_labels import Heard, portrait_of, train_tracks


def texture(kind, steps, seed):
    place = np.random.default_rng(kind).normal(0, 1, VECTOR_DIMS)
    return np.clip(place + np.random.default_rng(seed).normal(0, 0.7, (steps, VECTOR_DIMS)), -5, 5)


def part(kind, seconds, seed):
    return Part(texture(kind, 2 * seconds, seed), 2.0, float(seconds))


def heard(kind):
    back = tuple(
        Return(part(kind, 60, seed), (part(kind, 26, seed + 50), part(kind, 26, seed + 90))) for seed in range(3)
    )
    return Heard(str(kind), texture(kind, 200, 7), (), back)


def test_tracks_are_told_apart():
    model = train_tracks([heard(kind) for kind in range(12)])
    assert not model.shared

    def odds(one, other):
        told = compare(
            sketch(portrait_of(texture(one, 30, 3)), model), sketch(portrait_of(texture(other, 150, 4)), model)
        )
        return float((told - model.mean) / model.deviation @ model.weights + model.bias)

    assert odds(20, 20) > 1.0 > -1.0 > odds(20, 21)


def test_a_track_comes_back_with_what_is_left_of_it():
    noise = np.random.default_rng(0)
    tracks = [
        Source(str(length_s), noise.normal(0, 0.1, length_s * RATE).astype(np.float32), 0.0) for length_s in (70, 130)
    ]
    returns = Returns(tracks, seed=1)
    assert list(returns.of(tracks[0])) == []  # too short: nothing would be left
    for one in returns.of(tracks[1]):
        assert 12.0 <= one.before.start <= 20.0 < one.before.end
        for again in one.again:
            assert again.end - again.start == 26.0
            assert len(again.vectors) * 21 * 512 / RATE < again.end
            break
        break
