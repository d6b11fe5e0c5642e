"""What tells whether two sections are the same, trained anew."""

import numpy as np

from streamseg.engine.likeness import compare, sketch
from streamseg.engine.texture import VECTOR_DIMS
from streamseg.evaluation.train_labels import Heard, portrait_of, train_tracks


def texture(kind, steps, seed):
    place = np.random.default_rng(kind).normal(0, 1, VECTOR_DIMS)
    return np.clip(place + np.random.default_rng(seed).normal(0, 0.7, (steps, VECTOR_DIMS)), -5, 5)


def test_tracks_are_told_apart():
    model = train_tracks([Heard(str(kind), texture(kind, 500, 7)) for kind in range(12)])
    assert not model.shared

    def odds(one, other):
        told = compare(
            sketch(portrait_of(texture(one, 30, 3)), model), sketch(portrait_of(texture(other, 150, 4)), model)
        )
        return float((told - model.mean) / model.deviation @ model.weights + model.bias)

    assert odds(20, 20) > 1.0 > -1.0 > odds(20, 21)
