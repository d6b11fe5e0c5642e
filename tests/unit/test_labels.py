"""Labels: clusterers, portraits and their likeness, the sticky filter, and what is said of sections."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.checks import check_estimator

from streamseg.engine.boundaries.tracker import BoundaryDecision
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
from streamseg.engine.labels.labeller import SectionLabeller, label_letters
from streamseg.engine.labels.river_clusterers import CLUSTERER_FACTORIES, INITIAL_VECTORS, NOISE_CLUSTER, StableClusters
from streamseg.engine.labels.roles import ROLES, RoleClassifier
from streamseg.engine.labels.similarity import N_COMPARISON_FEATURES, compare_descriptors, prepare_descriptor
from streamseg.engine.labels.store import DescriptorStore
from streamseg.engine.models.loader import load_label_model
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.engine.packed_arrays import pack_arrays
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.settings import make_settings
from streamseg.wire.events import BoundaryConfirmed, SectionClosed, SectionUpdated

MODEL = load_label_model("dj")


def texture(kind, steps, seed=0):
    """Texture that is one of its kind: a place of its own, and what wavers about it."""
    place = np.random.default_rng(1000 + kind).normal(0, 1, VECTOR_DIMS)
    return place + 0.3 * np.random.default_rng(seed).normal(0, 1, (steps, VECTOR_DIMS))


def portrait(kind, steps=100, seed=0):
    found = SectionDescriptor()
    found.push(texture(kind, steps, seed))
    return found


class TestPortrait:
    @pytest.mark.parametrize("steps", [1, 3, 4, 5, 191, 192, 193, 1000, 5000])
    def test_it_keeps_what_it_says(self, steps):
        vectors = texture(0, steps)
        found = SectionDescriptor()
        for part in np.split(vectors, [1, 2, 7, 300]):
            found.push(part)
        assert found.count == steps
        assert np.allclose(found.mean, vectors.mean(axis=0))
        assert np.allclose(found.std, vectors.std(axis=0))
        means = vectors[: steps // WINDOW_STEPS * WINDOW_STEPS, :STANDARDISED_DIMS]
        means = means.reshape(-1, WINDOW_STEPS, STANDARDISED_DIMS).mean(axis=1)
        assert found.n_windows <= MAX_WINDOWS
        assert np.allclose(found.window_means[: found.n_windows], means[:: found.stride])
        assert np.allclose(np.linalg.norm(found.progression[: found.n_progression_steps], axis=1), 1.0)
        assert found.n_progression_steps == min(steps, PROGRESSION_STEPS)

    def test_it_comes_back_from_the_store(self):
        once = portrait(3, 77)
        back = descriptor_from_bytes(once.to_bytes())
        assert np.allclose(
            compare_descriptors(prepare_descriptor(once, MODEL), prepare_descriptor(back, MODEL))[:4], 0, atol=0.01
        )
        assert back.count == once.count
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
    def test_what_is_no_portrait(self, content):
        with pytest.raises(ValueError, match="no p"):
            descriptor_from_bytes(content)

    def test_nor_is_one_that_is_not_of_numbers(self):
        broken = portrait(0)
        broken.total[5] = np.nan
        with pytest.raises(ValueError, match="no portrait"):
            descriptor_from_bytes(broken.to_bytes())


class TestLikeness:
    def test_the_order_does_not_matter(self):
        one, other = prepare_descriptor(portrait(1, 60), MODEL), prepare_descriptor(portrait(2, 200), MODEL)
        assert np.array_equal(compare_descriptors(one, other), compare_descriptors(other, one))
        assert compare_descriptors(one, other).shape == (N_COMPARISON_FEATURES,)

    def test_distances_beside_the_obvious_ones(self):
        one, other = portrait(1, 60, seed=1), portrait(1, 200, seed=2)
        a, b = prepare_descriptor(one, MODEL), prepare_descriptor(other, MODEL)
        near = np.sqrt(((a.windows[: one.n_windows, None] - b.windows[None, : other.n_windows]) ** 2).mean(axis=2)).min(
            axis=1
        )
        told = compare_descriptors(a, b)
        assert told[1] == pytest.approx(near.mean(), rel=1e-4)
        assert told[2] == pytest.approx(np.sort(near)[len(near) // 2], rel=1e-4)
        assert told[11] == pytest.approx(np.sqrt(np.mean((one.mean - other.mean)[:20] ** 2)), rel=1e-4)
        similar = one.progression[:60] @ other.progression[: other.n_progression_steps].T
        diagonals = [np.diagonal(similar, lag) for lag in range(-59, other.n_progression_steps)]
        assert told[22] == pytest.approx(max(d.mean() for d in diagonals if len(d) >= 54), rel=1e-4)
        assert told[26] == pytest.approx(similar.mean(), abs=1e-5)

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
        told = compare_descriptors(prepare_descriptor(one, MODEL), prepare_descriptor(other, MODEL))
        assert told[8] > 0.95
        assert told[19] > told[21] + 0.3

    @given(st.integers(1, 12), st.integers(1, 400), st.integers(1, 400))
    def test_it_is_always_a_number(self, kind, one, other):
        assert np.isfinite(
            compare_descriptors(
                prepare_descriptor(portrait(0, one), MODEL), prepare_descriptor(portrait(kind, other), MODEL)
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
        clusterer.store_section({"x": 50.0}, -2, pinned=True)
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
        assert clusterer.label_to_label_log_odds(7)[0] > 0
        clusterer.merge_labels(7, 0)
        assert clusterer.labels == {0}

    def test_portraits(self):
        resemblance = DescriptorStore(MODEL, 8)
        clusterer = SectionClusterer(capacity=8, similarity=resemblance)
        for kind in (0, 1, 2, 0):
            clusterer.learn_one(portrait(kind, seed=kind + len(clusterer.labels)))
        assert [clusterer.predict_one(portrait(kind, 40, seed=9)) for kind in (0, 1, 2, 3)] == [0, 1, 2, NEW_LABEL]
        assert np.allclose(resemblance.descriptor_at(1).mean, portrait(1, seed=2).mean, atol=0.01)


class TestStickyFilter:
    def settled(self, order, **options):
        sticky = LabelHmmFilter(**{"stay": 0.5, "returning": 0.5, "capacity": 100} | options)
        before = None
        for label in order:
            odds = {other: 9.0 if other == label else -9.0 for other in set(order[: order.index(label) + 1]) | {label}}
            sticky.record_section(sticky.posterior_probabilities(odds), label, before)
            before = label
        return sticky

    def test_probabilities(self):
        sticky = self.settled([0, 1, 0, 1, 0])
        for odds in ({}, {0: 0.0}, {0: 3.0, 1: -2.0}, {0: -1e9, 1: 1e9}):
            posterior = sticky.posterior_probabilities(odds)
            assert sum(posterior.values()) == pytest.approx(1.0)
            assert set(posterior) == set(odds) | {NEW_LABEL}

    def test_it_learns_what_follows_what(self):
        prior = self.settled([0, 1, 2] * 6).prior_probabilities({0, 1, 2})
        assert max(prior, key=prior.get) == 0
        prior = self.settled([0, 1] * 6).prior_probabilities({0, 1})
        assert prior[0] > 3 * prior[1]

    def test_weak_evidence_does_not_tear_it_away(self):
        sticky = self.settled([0, 1] * 6)
        posterior = sticky.posterior_probabilities({0: 0.0, 1: 0.5})
        assert posterior[0] > posterior[1]
        posterior = sticky.posterior_probabilities({0: 0.0, 1: 6.0})
        assert posterior[1] > posterior[0]

    def test_a_label_by_itself_does_not_wane_among_many(self):
        chances = []
        for kinds in (2, 20):
            sticky = self.settled(list(range(kinds)), shared=False, stay=0.0, returning=0.2)
            chances.append(sticky.posterior_probabilities({0: 2.0} | dict.fromkeys(range(1, kinds), -50.0))[0])
        assert chances[0] == pytest.approx(chances[1], rel=0.1)

    def test_it_is_bounded(self):
        sticky = self.settled([int(n) for n in np.random.default_rng(0).integers(0, 50, 600)], capacity=40)
        assert len(sticky._transition_counts) <= 40


@pytest.mark.parametrize("name", CLUSTERER_FACTORIES)
class TestIdentities:
    """Whatever river's clusterers do, a number means one thing."""

    def places(self, n, dims=6):
        return np.random.default_rng(0).normal(0, 6, (n, dims))

    def vectors(self, order, seed=0):
        noise = np.random.default_rng(seed).normal(0, 0.2, (len(order), 6))
        return self.places(1 + max(order))[np.array(order)] + noise

    def order(self, rounds, kinds=4, length=12):
        return [kind for _ in range(rounds) for kind in range(kinds) for _ in range(length)]

    def test_not_ready_is_not_cluster_0(self, name):
        identities = StableClusters(name, 0.5)
        said = [identities.push(vector) for vector in self.vectors(self.order(2))]
        assert said[: INITIAL_VECTORS - 1] == [None] * (INITIAL_VECTORS - 1)
        assert any(one is not None for one in said)

    def test_a_number_keeps_its_meaning(self, name):
        identities = StableClusters(name, 0.5)
        probes, answers = self.places(4), []
        for round_ in range(24):
            for vector in self.vectors(self.order(1), seed=round_):
                identities.push(vector)
            answers.append([identities.cluster_of(probe) for probe in probes])
        for before, after in pairwise(answers[8:]):
            for one, other in zip(before, after):
                assert one == other or NOISE_CLUSTER in (one, other)

    def test_nothing_but_numbers_reaches_it(self, name):
        identities, clean = StableClusters(name, 0.5), StableClusters(name, 0.5)
        for i, vector in enumerate(self.vectors(self.order(6))):
            assert identities.push(np.full(6, np.nan)) is None
            assert identities.push(np.full(6, (-1) ** i * np.inf)) is None
            assert identities.push(vector) == clean.push(vector)

    def test_what_is_like_nothing_is_noise(self, name):
        identities = StableClusters(name, 0.5)
        for vector in self.vectors(self.order(4)):
            identities.push(vector)
        assert identities.cluster_of(np.full(6, 1e3)) == NOISE_CLUSTER

    def test_it_pickles_and_goes_on_the_same(self, name):
        identities = StableClusters(name, 0.5)
        vectors = self.vectors(self.order(8))
        for vector in vectors[:200]:
            identities.push(vector)
        back = pickle.loads(pickle.dumps(identities))
        assert [back.push(vector) for vector in vectors[200:]] == [identities.push(vector) for vector in vectors[200:]]


def said(order, seconds=40, memory=None, clusterer="sections", profile="dj", **changes):
    """The facts about sections of these kinds, their boundaries given 10 s late."""
    steps = round(seconds / 0.4876)
    sections = SectionTracker(
        make_settings(profile, clusterer=clusterer, **changes), 30.0, MODEL, memory or NamedSounds()
    )
    events, step = [], 0
    for number, kind in enumerate(order):
        for i, vector in enumerate(texture(kind, steps, seed=number)):
            events += sections.push(vector)
            step += 1
            if number and i == 20:
                at = number * steps
                change = BoundaryDecision("confirmed", number, at, 0.9, 0.5)
                events += sections.apply_decision(change, at * 0.4876, step * 0.4876, 0.5, at_end=False)
    events += sections.close_section(step * 0.4876, "end", at_end=True)
    return [event.data for event in events], sections


class TestRoles:
    def heard(self, roles, sections):
        """What is said of sections of (kind, seconds), one after the other."""
        said, at = [], 0.0
        for kind, seconds in sections:
            heard = portrait(kind, round(seconds / 0.4876))
            said.append(roles.push(heard, "ABCDEF"[kind], at, at + seconds))
            at += seconds
        return said

    def test_each_has_a_probability(self):
        for guess in self.heard(RoleClassifier(), [(0, 12), (1, 30), (2, 25), (1, 30), (2, 25), (3, 9)]):
            assert list(guess) == list(ROLES)
            assert sum(guess.values()) == pytest.approx(1.0)

    def test_a_song_begins_with_an_intro_and_what_returns_is_none(self):
        guesses = self.heard(RoleClassifier(), [(0, 12), (1, 30), (2, 25), (1, 30), (2, 25)])
        assert guesses[0]["intro"] > 0.5
        assert all(max(guess, key=guess.__getitem__) != "intro" for guess in guesses[3:])

    def test_another_song_begins_anew(self):
        roles = RoleClassifier()
        first = self.heard(roles, [(0, 12), (1, 30)])
        roles.start_song()
        assert self.heard(roles, [(0, 12), (1, 30)]) == first

    def test_what_goes_on_is_no_song(self):
        roles = RoleClassifier()
        guesses = self.heard(roles, [(k % 5, 25) for k in range(40)])
        assert all(guesses[:14])
        assert not any(guesses[16:])
        assert len(pickle.dumps(roles)) < 4000

    def test_labels_that_are_joined_count_as_one(self):
        roles, other = RoleClassifier(), RoleClassifier()
        self.heard(roles, [(0, 12), (1, 30), (2, 25)])
        roles.merge_labels("C", "B")
        self.heard(other, [(0, 12), (1, 30), (1, 25)])
        assert roles._label_counts == other._label_counts


class TestSections:
    def test_labels_come_back_and_say_so(self):
        facts, _ = said([0, 1, 2, 0, 1, 1])
        assert [fact.label for fact in facts if isinstance(fact, SectionClosed)] == list("ABCABB")
        confirmed = [fact.next for fact in facts if isinstance(fact, BoundaryConfirmed)]
        assert [after.seen_before for after in confirmed] == [False, False, True, True, True]
        assert confirmed[2].last_seen == pytest.approx(40, abs=1)
        assert all(fact.label_confidence > 0.5 for fact in facts if isinstance(fact, SectionClosed))

    @pytest.mark.parametrize("clusterer", CLUSTERER_FACTORIES)
    def test_every_clusterer_says_something(self, clusterer):
        facts, _ = said([0, 1, 0, 1, 0, 1], clusterer=clusterer)
        labels = [fact.label for fact in facts if isinstance(fact, SectionClosed)]
        assert len(labels) == 6
        assert any(labels)

    def test_roles_are_guessed_in_songs_only(self):
        roles = [fact.role for fact in said([0, 1, 0, 1], seconds=25)[0] if isinstance(fact, SectionClosed)]
        assert roles == [None] * 4
        closed = [
            fact for fact in said([0, 1, 0, 1], seconds=25, profile="music")[0] if isinstance(fact, SectionClosed)
        ]
        assert all(fact.role in ROLES and 1 / len(ROLES) <= fact.role_confidence <= 1 for fact in closed if fact.label)

    def test_the_least_used_is_forgotten(self):
        facts, _ = said([0, 1, 2, 3, 4, 0], labels_max=3)
        assert [fact.label for fact in facts if isinstance(fact, SectionClosed)] == list("ABCDEF")

    def test_what_was_named_in_another_run_is_known_by_its_name(self):
        _, sections = said([0, 1, 2])
        assert sections.descriptor_of_label("Z") is None
        memory = NamedSounds((NamedSound(name="Ads", kind="section", content=sections.descriptor_of_label("B")),))
        facts, again = said([4, 1, 5, 1], memory=memory)
        closed = [fact for fact in facts if isinstance(fact, SectionClosed)]
        assert [(fact.label, fact.name) for fact in closed] == [("A", None), ("B", "Ads"), ("C", None), ("B", "Ads")]
        confirmed = [fact.next for fact in facts if isinstance(fact, BoundaryConfirmed)]
        assert [after.seen_before for after in confirmed] == [True, False, True]
        assert confirmed[0].last_seen is None
        assert [fact.name for fact in facts if isinstance(fact, SectionUpdated) and fact.label == "B"] != []
        assert again.name_of("B") == "Ads"

    def test_what_cannot_be_read_is_passed_over(self):
        memory = NamedSounds((NamedSound(name="Ads", kind="section", content=b"of another version"),))
        assert [fact.label for fact in said([0, 1], memory=memory)[0] if isinstance(fact, SectionClosed)] == ["A", "B"]

    def test_a_checkpoint_is_invisible(self):
        _, sections = said([0, 1, 2])
        back = pickle.loads(pickle.dumps(sections))
        sections.start_section(120.0)
        back.start_section(120.0)
        for vector in texture(1, 60, seed=5):
            assert back.push(vector) == sections.push(vector)

    def test_memory_is_bounded(self):
        sizes = [len(pickle.dumps(said(list(range(kinds)), 20, labels_max=16)[1])) for kinds in (4, 40)]
        assert sizes[1] < 1.05 * sizes[0]


def test_letters():
    assert [label_letters(n) for n in (0, 1, 25, 26, 27, 701, 702)] == ["A", "B", "Z", "AA", "AB", "ZZ", "AAA"]


def test_a_label_that_is_not_there_has_no_prototype():
    labels = SectionLabeller(make_settings(), MODEL, NamedSounds())
    assert labels.descriptor_of_label("A") is None
    assert labels.name_of("A") is None
