"""What tells whether two sections are the same, trained anew."""

import numpy as np

from streamseg.engine.features.texture import VECTOR_DIMS
from streamseg.engine.labels.section_similarity import compute_comparison_features, prepare_descriptor
from tools.training.label_training import LabelledTexture, describe_vectors, train_track_labels


def texture(kind, steps, seed):
    place = np.random.default_rng(kind).normal(0, 1, VECTOR_DIMS)
    return np.clip(place + np.random.default_rng(seed).normal(0, 0.7, (steps, VECTOR_DIMS)), -5, 5)


def test_tracks_are_told_apart():
    model = train_track_labels([LabelledTexture(str(kind), texture(kind, 500, 7)) for kind in range(12)])
    assert not model.shares_return_prior

    def odds(one, other):
        told = compute_comparison_features(
            prepare_descriptor(describe_vectors(texture(one, 30, 3)), model),
            prepare_descriptor(describe_vectors(texture(other, 150, 4)), model),
        )
        return float((told - model.mean) / model.std @ model.weights + model.bias)

    assert odds(20, 20) > 1.0 > -1.0 > odds(20, 21)
