"""The labels and roles that sections get, in the events of the section tracker."""

import pickle

import numpy as np
import pytest
from unit.test_labels import MODEL, describe, texture

from streamseg.engine.boundaries.tracker import BoundaryDecision
from streamseg.engine.labels.descriptor import descriptor_from_bytes
from streamseg.engine.labels.labeller import SectionLabeller, label_letters
from streamseg.engine.labels.river_clusterers import CLUSTERER_FACTORIES
from streamseg.engine.labels.roles import ROLES, SongRoleClassifier
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.settings import make_settings
from streamseg.wire.events import BoundaryConfirmed, SectionClosed, SectionUpdated


def run_sections(order, seconds=40, named_sounds=None, clusterer="sections", profile="dj", **changes):
    """Event data for sections of these kinds, whose boundaries are confirmed 10 s late; and the tracker."""
    steps = round(seconds / 0.4876)
    sections = SectionTracker(
        make_settings(profile, clusterer=clusterer, **changes), 30.0, MODEL, named_sounds or NamedSounds()
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


class TestRoleClassifier:
    def classify(self, classifier, sections):
        """The role probabilities of sections of (kind, seconds), one after the other."""
        probabilities, start = [], 0.0
        for kind, seconds in sections:
            descriptor = describe(kind, round(seconds / 0.4876))
            probabilities.append(
                classifier.add_and_classify_section(descriptor, "ABCDEF"[kind], start, start + seconds)
            )
            start += seconds
        return probabilities

    def test_each_has_a_probability(self):
        for guess in self.classify(SongRoleClassifier(), [(0, 12), (1, 30), (2, 25), (1, 30), (2, 25), (3, 9)]):
            assert list(guess) == list(ROLES)
            assert sum(guess.values()) == pytest.approx(1.0)

    def test_a_song_begins_with_an_intro_and_what_returns_is_none(self):
        guesses = self.classify(SongRoleClassifier(), [(0, 12), (1, 30), (2, 25), (1, 30), (2, 25)])
        assert guesses[0]["intro"] > 0.5
        assert all(max(guess, key=guess.__getitem__) != "intro" for guess in guesses[3:])

    def test_another_song_begins_anew(self):
        roles = SongRoleClassifier()
        first = self.classify(roles, [(0, 12), (1, 30)])
        roles.start_song()
        assert self.classify(roles, [(0, 12), (1, 30)]) == first

    def test_what_goes_on_is_no_song(self):
        roles = SongRoleClassifier()
        guesses = self.classify(roles, [(k % 5, 25) for k in range(40)])
        assert all(guesses[:14])
        assert not any(guesses[16:])
        assert len(pickle.dumps(roles)) < 4000

    def test_labels_that_are_joined_count_as_one(self):
        roles, other = SongRoleClassifier(), SongRoleClassifier()
        self.classify(roles, [(0, 12), (1, 30), (2, 25)])
        roles.merge_labels("C", "B")
        self.classify(other, [(0, 12), (1, 30), (1, 25)])
        assert roles._label_counts == other._label_counts


class TestSectionLabels:
    def test_labels_come_back_and_say_so(self):
        facts, _ = run_sections([0, 1, 2, 0, 1, 1])
        assert [fact.label for fact in facts if isinstance(fact, SectionClosed)] == list("ABCABB")
        confirmed = [fact.next for fact in facts if isinstance(fact, BoundaryConfirmed)]
        assert [after.seen_before for after in confirmed] == [False, False, True, True, True]
        assert confirmed[2].last_seen == pytest.approx(40, abs=1)
        assert all(fact.label_confidence > 0.5 for fact in facts if isinstance(fact, SectionClosed))

    @pytest.mark.parametrize("clusterer", CLUSTERER_FACTORIES)
    def test_every_clusterer_gives_labels(self, clusterer):
        facts, _ = run_sections([0, 1, 0, 1, 0, 1], clusterer=clusterer)
        labels = [fact.label for fact in facts if isinstance(fact, SectionClosed)]
        assert len(labels) == 6
        assert any(labels)

    def test_roles_are_guessed_in_songs_only(self):
        roles = [fact.role for fact in run_sections([0, 1, 0, 1], seconds=25)[0] if isinstance(fact, SectionClosed)]
        assert roles == [None] * 4
        closed = [
            fact
            for fact in run_sections([0, 1, 0, 1], seconds=25, profile="music")[0]
            if isinstance(fact, SectionClosed)
        ]
        assert [fact.label for fact in closed] == list("ABAB")
        assert all(fact.role in ROLES and 1 / len(ROLES) <= fact.role_confidence <= 1 for fact in closed)

    def test_the_least_used_is_forgotten(self):
        facts, _ = run_sections([0, 1, 2, 3, 4, 0], labels_max=3)
        assert [fact.label for fact in facts if isinstance(fact, SectionClosed)] == list("ABCDEF")

    def test_a_label_has_the_descriptor_of_one_of_its_own_sections(self):
        order = [2, 2, 3, 4, 0, 0, 4, 4, 1, 1]  # the slot of the latest section of C is used again for E
        facts, sections = run_sections(order, 18, labels_max=3)
        kinds = {fact.label: kind for kind, fact in zip(order, (f for f in facts if isinstance(f, SectionClosed)))}
        descriptors = {label: sections.descriptor_of_label(label) for label in kinds}
        known = {label: content for label, content in descriptors.items() if content is not None}
        assert known.keys() == {"C", "E"}
        for label, content in known.items():
            mean = descriptor_from_bytes(content).mean
            assert min(kinds.values(), key=lambda kind: np.linalg.norm(texture(kind, 1)[0] - mean)) == kinds[label]

    def test_what_was_named_in_another_run_is_known_by_its_name(self):
        _, sections = run_sections([0, 1, 2])
        assert sections.descriptor_of_label("Z") is None
        named_sounds = NamedSounds((NamedSound(name="Ads", kind="section", content=sections.descriptor_of_label("B")),))
        facts, again = run_sections([4, 1, 5, 1], named_sounds=named_sounds)
        closed = [fact for fact in facts if isinstance(fact, SectionClosed)]
        assert [(fact.label, fact.name) for fact in closed] == [("A", None), ("B", "Ads"), ("C", None), ("B", "Ads")]
        confirmed = [fact.next for fact in facts if isinstance(fact, BoundaryConfirmed)]
        assert [after.seen_before for after in confirmed] == [True, False, True]
        assert confirmed[0].last_seen is None
        assert [fact.name for fact in facts if isinstance(fact, SectionUpdated) and fact.label == "B"] != []
        assert again.name_of_label("B") == "Ads"

    def test_what_cannot_be_read_is_passed_over(self):
        named_sounds = NamedSounds((NamedSound(name="Ads", kind="section", content=b"of another version"),))
        assert [
            fact.label for fact in run_sections([0, 1], named_sounds=named_sounds)[0] if isinstance(fact, SectionClosed)
        ] == ["A", "B"]

    def test_a_checkpoint_is_invisible(self):
        _, sections = run_sections([0, 1, 2])
        back = pickle.loads(pickle.dumps(sections))
        sections.start_section(120.0)
        back.start_section(120.0)
        for vector in texture(1, 60, seed=5):
            assert back.push(vector) == sections.push(vector)

    def test_memory_is_bounded(self):
        sizes = [len(pickle.dumps(run_sections(list(range(kinds)), 20, labels_max=16)[1])) for kinds in (4, 40)]
        assert sizes[1] < 1.05 * sizes[0]


def test_letters():
    assert [label_letters(n) for n in (0, 1, 25, 26, 27, 701, 702)] == ["A", "B", "Z", "AA", "AB", "ZZ", "AAA"]


def test_a_label_that_is_not_there_has_no_prototype():
    labels = SectionLabeller(make_settings(), MODEL, NamedSounds())
    assert labels.descriptor_of_label("A") is None
    assert labels.name_of_label("A") is None
