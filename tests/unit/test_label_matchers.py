"""What matches sections with labels: river's clusterers with numbers that keep their meaning, votes, whole sections."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from unit.test_labels import MODEL, describe, texture

from streamseg.engine.labels.clusterer import NEW_LABEL
from streamseg.engine.labels.descriptor import WINDOW_STEPS, SectionDescriptor
from streamseg.engine.labels.river_clusterers import (
    CLUSTERER_FACTORIES,
    INITIAL_VECTORS,
    NOISE_CLUSTER,
    StableClusterer,
)
from streamseg.engine.labels.river_matcher import RiverMatcher
from streamseg.engine.labels.section_matcher import SectionMatcher
from streamseg.engine.named_sounds import NamedSound, NamedSounds


@pytest.mark.parametrize("name", CLUSTERER_FACTORIES)
class TestStableClusterer:
    """Whatever river's clusterers do, a cluster number means one thing."""

    def places(self, n, dims=6):
        return np.random.default_rng(0).normal(0, 6, (n, dims))

    def vectors(self, order, seed=0):
        noise = np.random.default_rng(seed).normal(0, 0.2, (len(order), 6))
        return self.places(1 + max(order))[np.array(order)] + noise

    def order(self, rounds, kinds=4, length=12):
        return [kind for _ in range(rounds) for kind in range(kinds) for _ in range(length)]

    def test_not_ready_is_not_cluster_0(self, name):
        stable = StableClusterer(name, 0.5)
        clusters = [stable.push(vector) for vector in self.vectors(self.order(2))]
        assert clusters[: INITIAL_VECTORS - 1] == [None] * (INITIAL_VECTORS - 1)
        assert set(clusters) - {None, NOISE_CLUSTER}

    def test_a_number_keeps_its_meaning(self, name):
        stable = StableClusterer(name, 0.5)
        probes, answers = self.places(4), []
        for round_ in range(24):
            for vector in self.vectors(self.order(1), seed=round_):
                stable.push(vector)
            answers.append([stable.cluster_of(probe) for probe in probes])
        for before, after in pairwise(answers[8:]):
            for one, other in zip(before, after):
                assert one == other or NOISE_CLUSTER in (one, other)
            recognised = [cluster for cluster in after if cluster not in (None, NOISE_CLUSTER)]
            assert len(recognised) >= len(probes) / 2  # denstream never forms a cluster at two of the four
            assert len(set(recognised)) == len(recognised)

    def test_nothing_but_numbers_reaches_it(self, name):
        stable, clean = StableClusterer(name, 0.5), StableClusterer(name, 0.5)
        for i, vector in enumerate(self.vectors(self.order(6))):
            assert stable.push(np.full(6, np.nan)) is None
            assert stable.push(np.full(6, (-1) ** i * np.inf)) is None
            assert stable.push(vector) == clean.push(vector)

    def test_what_is_like_nothing_is_noise(self, name):
        stable = StableClusterer(name, 0.5)
        clusters = [stable.push(vector) for vector in self.vectors(self.order(4))]
        assert set(clusters[-48:]) != {NOISE_CLUSTER}
        assert stable.cluster_of(np.full(6, 1e3)) == NOISE_CLUSTER

    def test_it_pickles_and_goes_on_the_same(self, name):
        stable = StableClusterer(name, 0.5)
        vectors = self.vectors(self.order(8))
        for vector in vectors[:200]:
            stable.push(vector)
        back = pickle.loads(pickle.dumps(stable))
        assert [back.push(vector) for vector in vectors[200:]] == [stable.push(vector) for vector in vectors[200:]]


def describe_votes(**votes):
    """A section descriptor with these numbers of vectors in clusters: n is noise, c3 is cluster 3."""
    clusters = {NOISE_CLUSTER if name == "n" else int(name[1:]): n for name, n in votes.items()}
    return SectionDescriptor(cluster_votes=clusters)


class TestRiverMatcher:
    def make(self):
        return RiverMatcher("kmeans", MODEL)

    def test_the_majority_is_the_label(self):
        matcher = self.make()
        assert matcher.store_section(describe_votes(c3=5, c1=2), NEW_LABEL) == 3
        assert matcher.store_section(describe_votes(c1=5, c3=2), NEW_LABEL) == 1
        assert matcher.store_section(describe_votes(c1=5, c3=2), 3) == 3
        assert matcher.labels == {1, 3}

    def test_noise_is_no_label(self):
        matcher = self.make()
        assert not matcher.can_label(describe_votes())
        assert not matcher.can_label(describe_votes(n=5, c1=2))
        assert matcher.can_label(describe_votes(n=2, c1=5))

    def test_votes_decide(self):
        matcher = self.make()
        for cluster in (1, 3, 4):
            matcher.store_section(SectionDescriptor(cluster_votes={cluster: 1}), NEW_LABEL)
        log_odds = matcher.label_log_odds(describe_votes(c1=3, c3=9, n=5))
        assert log_odds.keys() == {1, 3}
        assert log_odds[3] > log_odds[1] > 0
        ((label, doubtful),) = matcher.label_log_odds(describe_votes(c2=9, c1=8)).items()
        assert label == 1
        assert doubtful < 0

    def test_the_least_recent_label_is_forgotten(self):
        matcher = self.make()
        for cluster in (*range(64), 0, 64):
            matcher.store_section(SectionDescriptor(cluster_votes={cluster: 1}), NEW_LABEL)
        assert matcher.labels == {0, *range(2, 65)}

    def test_a_window_of_vectors_has_the_cluster(self):
        matcher = self.make()
        clusters = [matcher.assign_cluster(vector) for vector in texture(0, (INITIAL_VECTORS + 1) * WINDOW_STEPS)]
        assert clusters[: INITIAL_VECTORS * WINDOW_STEPS - 1] == [None] * (INITIAL_VECTORS * WINDOW_STEPS - 1)
        assert isinstance(clusters[-1], int)


class TestSectionMatcher:
    def test_named_sections_are_matched_but_are_not_labels_of_this_run(self):
        sounds = NamedSounds((NamedSound(name="Ads", kind="section", content=describe(1).to_bytes()),))
        matcher = SectionMatcher(MODEL, 8, sounds)
        (named,) = matcher.names
        log_odds = matcher.label_log_odds(describe(1, seed=5))
        assert log_odds[named] > 0
        assert matcher.descriptor_of_label(named) is None
        assert matcher.store_section(describe(1, seed=5), named) == named
        assert matcher.descriptor_of_label(named).n_vectors == 100

    def test_a_duplicate_is_merged_if_the_odds_suffice(self):
        matcher = SectionMatcher(MODEL, 8, NamedSounds())
        one = matcher.store_section(describe(1, seed=1), NEW_LABEL)
        two = matcher.store_section(describe(1, 90, seed=2), NEW_LABEL)
        assert matcher.merge_if_duplicate(two, lambda _: -100.0) is None
        assert matcher.labels == {one, two}
        assert matcher.merge_if_duplicate(two, lambda _: 0.0) == one
        assert matcher.labels == {one}
        assert matcher.descriptor_of_label(one).n_vectors == 90
        assert matcher.descriptor_of_label(two) is None
