"""What labels are made of: section descriptors and their similarity, the clusterer of sections, the HMM filter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.checks import check_estimator

from streamseg.engine.features.texture import HARMONY, STANDARDISED_DIMS, VECTOR_DIMS
from streamseg.engine.labels.clusterer import MAX_SECTIONS_PER_LABEL, NEW_LABEL, SectionClusterer
from streamseg.engine.labels.descriptor import (
    MAX_WINDOWS,
    PROGRESSION_STEPS,
    WINDOW_STEPS,
    SectionDescriptor,
    descriptor_from_bytes,
)
from streamseg.engine.labels.hmm_filter import LabelHmmFilter
from streamseg.engine.labels.section_similarity import (
    N_COMPARISON_FEATURES,
    compute_comparison_features,
    prepare_descriptor,
)
from streamseg.engine.labels.store import DescriptorStore
from streamseg.engine.models.loader import load_label_model
from streamseg.engine.packed_arrays import pack_arrays

MODEL = load_label_model("dj")


def texture(kind, steps, seed=0):
    """Texture that is one of its kind: a place of its own, and what wavers about it."""
    place = np.random.default_rng(1000 + kind).normal(0, 1, VECTOR_DIMS)
    return place + 0.3 * np.random.default_rng(seed).normal(0, 1, (steps, VECTOR_DIMS))


def describe(kind, steps=100, seed=0):
    descriptor = SectionDescriptor()
    descriptor.push(texture(kind, steps, seed))
    return descriptor


class TestSectionDescriptor:
    @pytest.mark.parametrize("steps", [1, 3, 4, 5, 191, 192, 193, 1000, 5000])
    def test_it_keeps_what_it_says(self, steps):
        vectors = texture(0, steps)
        found = SectionDescriptor()
        for part in np.split(vectors, [1, 2, 7, 300]):
            found.push(part)
        assert found.n_vectors == steps
        assert np.allclose(found.mean, vectors.mean(axis=0))
        assert np.allclose(found.std, vectors.std(axis=0))
        means = vectors[: steps // WINDOW_STEPS * WINDOW_STEPS, :STANDARDISED_DIMS]
        means = means.reshape(-1, WINDOW_STEPS, STANDARDISED_DIMS).mean(axis=1)
        assert found.n_window_means <= MAX_WINDOWS
        assert np.allclose(found.window_means[: found.n_window_means], means[:: found.arrays.stride[0]])
        assert np.allclose(np.linalg.norm(found.chroma_progression[: found.n_chroma_steps], axis=1), 1.0)
        assert found.n_chroma_steps == min(steps, PROGRESSION_STEPS)

    def test_it_comes_back_from_the_store(self):
        once = describe(3, 77)
        back = descriptor_from_bytes(once.to_bytes())
        assert np.allclose(
            compute_comparison_features(prepare_descriptor(once, MODEL), prepare_descriptor(back, MODEL))[:4],
            0,
            atol=0.01,
        )
        assert back.n_vectors == once.n_vectors
        assert np.allclose(back.window_means, once.window_means, atol=0.01)
        assert len(once.to_bytes()) < 20_000

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            pack_arrays(a=np.zeros(3)),
            pack_arrays(
                count=np.array(1), mean=np.zeros(3), deviation=np.zeros(3), blocks=np.zeros(3), progression=np.zeros(3)
            ),
        ],
    )
    def test_what_is_no_describe(self, content):
        with pytest.raises(ValueError, match=r"not a section descriptor|no packed arrays"):
            descriptor_from_bytes(content)

    def test_nor_is_one_that_is_not_of_numbers(self):
        broken = describe(0)
        broken.arrays.total[5] = np.nan
        with pytest.raises(ValueError, match="not a section descriptor"):
            descriptor_from_bytes(broken.to_bytes())


class TestSimilarity:
    def test_the_order_does_not_matter(self):
        one, other = prepare_descriptor(describe(1, 60), MODEL), prepare_descriptor(describe(2, 200), MODEL)
        assert np.array_equal(compute_comparison_features(one, other), compute_comparison_features(other, one))
        assert compute_comparison_features(one, other).shape == (N_COMPARISON_FEATURES,)

    def test_distances_beside_the_obvious_ones(self):
        one, other = describe(1, 60, seed=1), describe(1, 200, seed=2)
        a, b = prepare_descriptor(one, MODEL), prepare_descriptor(other, MODEL)
        near = np.sqrt(
            ((a.windows[: one.n_window_means, None] - b.windows[None, : other.n_window_means]) ** 2).mean(axis=2)
        ).min(axis=1)
        features = compute_comparison_features(a, b)
        assert features[1] == pytest.approx(near.mean(), rel=1e-4)
        assert features[2] == pytest.approx(np.sort(near)[len(near) // 2], rel=1e-4)
        assert features[11] == pytest.approx(np.sqrt(np.mean((one.mean - other.mean)[:20] ** 2)), rel=1e-4)
        similar = one.chroma_progression[:60] @ other.chroma_progression[: other.n_chroma_steps].T
        diagonals = [np.diagonal(similar, lag) for lag in range(-59, other.n_chroma_steps)]
        assert features[22] == pytest.approx(max(d.mean() for d in diagonals if len(d) >= 54), rel=1e-4)
        assert features[26] == pytest.approx(similar.mean(), abs=1e-5)

    def test_harmony_is_found_in_another_key(self):
        progression = np.zeros((80, VECTOR_DIMS))
        for step in range(80):
            root = (0, 5, 7, 0)[step // 8 % 4]
            progression[step, HARMONY[[root, (root + 4) % 12]]] = 3.0
        moved = progression.copy()
        moved[:, HARMONY] = np.roll(progression[:, HARMONY], 3, axis=1)
        one, other = SectionDescriptor(), SectionDescriptor()
        one.push(progression)
        other.push(moved)
        features = compute_comparison_features(prepare_descriptor(one, MODEL), prepare_descriptor(other, MODEL))
        assert features[8] > 0.95
        assert features[19] > features[21] + 0.3

    @given(st.integers(1, 12), st.integers(1, 400), st.integers(1, 400))
    def test_it_is_always_a_number(self, kind, one, other):
        assert np.isfinite(
            compute_comparison_features(
                prepare_descriptor(describe(0, one), MODEL), prepare_descriptor(describe(kind, other), MODEL)
            )
        ).all()


class TestSectionClusterer:
    def test_river_takes_it_for_one_of_its_own(self):
        check_estimator(SectionClusterer())

    def test_numbers_come_back_and_are_never_given_again(self):
        clusterer = SectionClusterer(radius=0.5, capacity=3)
        for place in (0.0, 9.0, 0.1, 18.0, 27.0, 36.0):
            clusterer.learn_one({"x": place})
        assert [clusterer.predict_one({"x": place}) for place in (27.0, 36.0, 18.0, 0.0)] == [3, 4, 2, NEW_LABEL]
        clusterer.learn_one({"x": 0.0})
        assert clusterer.predict_one({"x": 0.0}) == 5
        assert clusterer.n_clusters <= 3

    def test_a_label_keeps_few_sections_and_what_is_pinned_for_ever(self):
        clusterer = SectionClusterer(radius=0.5, capacity=4)
        clusterer.store_section({"x": 50.0}, -2, is_pinned=True)
        for i in range(3 * MAX_SECTIONS_PER_LABEL):
            clusterer.learn_one({"x": 0.01 * i})
        assert clusterer.n_clusters == 2
        for place in range(1, 9):
            clusterer.learn_one({"x": 100.0 * place})
        assert clusterer.predict_one({"x": 50.0}) == -2

    def test_labels_join(self):
        clusterer = SectionClusterer(radius=1.0)
        clusterer.learn_one({"x": 0.0})
        clusterer.store_section({"x": 0.2}, 7)
        assert clusterer.log_odds_between_labels(7)[0] > 0
        clusterer.merge_labels(7, 0)
        assert clusterer.labels == {0}

    def test_it_clusters_descriptors(self):
        store = DescriptorStore(MODEL, 8)
        clusterer = SectionClusterer(capacity=8, similarity=store)
        for kind in (0, 1, 2, 0):
            clusterer.learn_one(describe(kind, seed=kind + len(clusterer.labels)))
        assert [clusterer.predict_one(describe(kind, 40, seed=9)) for kind in (0, 1, 2, 3)] == [0, 1, 2, NEW_LABEL]
        assert np.allclose(store.descriptor_at(1).mean, describe(1, seed=2).mean, atol=0.01)


class TestLabelHmmFilter:
    def run_filter(self, order, **options):
        hmm = LabelHmmFilter(**{"self_transition": 0.5, "return_probability": 0.5, "capacity": 100} | options)
        before = None
        for label in order:
            odds = {other: 9.0 if other == label else -9.0 for other in set(order[: order.index(label) + 1]) | {label}}
            hmm.record_section(hmm.compute_posterior_probabilities(odds), label, before)
            before = label
        return hmm

    def test_probabilities(self):
        hmm = self.run_filter([0, 1, 0, 1, 0])
        for odds in ({}, {0: 0.0}, {0: 3.0, 1: -2.0}, {0: -1e9, 1: 1e9}):
            posterior = hmm.compute_posterior_probabilities(odds)
            assert sum(posterior.values()) == pytest.approx(1.0)
            assert set(posterior) == set(odds) | {NEW_LABEL}

    def test_it_learns_what_follows_what(self):
        prior = self.run_filter([0, 1, 2] * 6).compute_prior_probabilities({0, 1, 2})
        assert max(prior, key=prior.get) == 0
        prior = self.run_filter([0, 1] * 6).compute_prior_probabilities({0, 1})
        assert prior[0] > 3 * prior[1]

    def test_weak_evidence_does_not_tear_it_away(self):
        hmm = self.run_filter([0, 1] * 6)
        posterior = hmm.compute_posterior_probabilities({0: 0.0, 1: 0.5})
        assert posterior[0] > posterior[1]
        posterior = hmm.compute_posterior_probabilities({0: 0.0, 1: 6.0})
        assert posterior[1] > posterior[0]

    def test_a_label_by_itself_does_not_wane_among_many(self):
        chances = []
        for kinds in (2, 20):
            hmm = self.run_filter(
                list(range(kinds)), shares_return_prior=False, self_transition=0.0, return_probability=0.2
            )
            chances.append(hmm.compute_posterior_probabilities({0: 2.0} | dict.fromkeys(range(1, kinds), -50.0))[0])
        assert chances[0] == pytest.approx(chances[1], rel=0.1)

    def test_it_is_bounded(self):
        hmm = self.run_filter([int(n) for n in np.random.default_rng(0).integers(0, 50, 600)], capacity=40)
        assert len(hmm._transition_counts) <= 40
