"""The comparison of two sections, written down as it stands: whole matrices of distances and similarities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.features.texture import TEXTURE_MEAN, TEXTURE_STD, VECTOR_DIMS
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.section_similarity import compute_comparison_features, prepare_descriptor
from streamseg.engine.models.weights import LabelModel

GROUPS = ((0, 20), (20, 32), (32, 39), (39, 66), (66, 67), (67, 68))


def rms(x, axis=None):
    return np.sqrt((x**2).mean(axis=axis))


def nearest(x, y):
    return rms(x[:, None] - y[None], axis=2).min(axis=1)


def windows(section, projection):
    means = section.window_means[: section.n_window_means]
    return (means if len(means) else section.mean[None, :74]) @ projection


def mean_chroma(section):
    chroma = section.mean[20:32] * TEXTURE_STD[20:32] + TEXTURE_MEAN[20:32]
    return (chroma - chroma.mean()) / np.linalg.norm(chroma - chroma.mean())


def diagonals(x, y):
    """Of the similarities of two progressions of chroma, the shorter one's length in mind."""
    similarity = x @ y.T
    short = min(similarity.shape)
    window = min(20, short)
    long_ones = [np.diagonal(similarity, lag) for lag in range(1 - len(x), len(y))]
    long_ones = [each for each in long_ones if len(each) >= window]
    for share in (0.3, 0.6, 0.9):
        yield max(each.mean() for each in long_ones if len(each) >= int(share * short))
    yield max(each[i : i + window].mean() for each in long_ones for i in range(len(each) - window + 1))
    yield np.diagonal(similarity).mean()
    yield similarity.max(axis=1 if len(x) <= len(y) else 0).mean()
    yield similarity.mean()


def compared(one, other, model):
    """All of `compute_comparison_features`, in its order."""
    a, b = (one, other) if one.n_vectors <= other.n_vectors else (other, one)
    x, y = windows(a, model.projection), windows(b, model.projection)
    there, known = np.sort(nearest(x, y)), nearest(x, model.codebook).mean()
    yield from (rms(x.mean(axis=0) - y.mean(axis=0)), there.mean(), there[len(x) // 2])
    yield from (there[: max(1, len(x) // 4)].mean(), there.mean() - known, nearest(y, x).mean(), known)
    in_keys = [mean_chroma(a) @ np.roll(mean_chroma(b), key) for key in range(12)]
    key = 1 + int(np.argmax(in_keys[1:]))
    yield from (in_keys[0], in_keys[key])
    p, q = a.mean[74:], b.mean[74:]
    yield from (p @ q / np.linalg.norm(p) / np.linalg.norm(q), rms(p - q))
    yield from (rms(a.mean[low:high] - b.mean[low:high]) for low, high in GROUPS)
    yield from (rms(a.std[low:high] - b.std[low:high]) for low, high in GROUPS[:2])
    harmony_a, harmony_b = (each.chroma_progression[: each.n_chroma_steps] for each in (a, b))
    yield list(diagonals(harmony_a, np.roll(harmony_b, key, axis=1)))[1]
    yield from diagonals(harmony_a, harmony_b)
    yield from (np.log(b.n_vectors / a.n_vectors), np.log(a.n_vectors), np.log(b.n_vectors))


def a_model(rng):
    return LabelModel(
        projection=rng.normal(size=(74, 9)) / 8, codebook=rng.normal(size=(25, 9)), mean=np.zeros(30),
        std=np.ones(30), weights=np.zeros(30), bias=np.array(0.0), edge=np.array(0),
    )  # fmt: skip


def a_section(rng, n):
    """Of a few chords in turn; its periodicity positive, as everywhere."""
    chords = rng.normal(size=(4, VECTOR_DIMS))
    vectors = chords[np.arange(n) // 7 % 4] + 0.5 * rng.normal(size=(n, VECTOR_DIMS))
    vectors[:, 74:] = np.abs(vectors[:, 74:])
    section = SectionDescriptor()
    section.push(vectors)
    return section


lengths = st.one_of(st.integers(1, 8), st.integers(9, 60), st.integers(61, 420))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), lengths, lengths)
def test_the_comparison_is_its_naive_twin(seed, n, m):
    rng = np.random.default_rng(seed)
    model, one, other = a_model(rng), a_section(rng, n), a_section(rng, m)
    ours = compute_comparison_features(prepare_descriptor(one, model), prepare_descriptor(other, model))
    assert ours == pytest.approx(np.array(list(compared(one, other, model))), abs=2e-5)
