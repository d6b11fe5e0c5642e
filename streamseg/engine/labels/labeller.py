"""Labels: what a section is called, the same whenever it comes back.

A clusterer says how much a section is like what was heard before; a sticky filter weighs that with what usually
follows what; here a number becomes a letter that keeps its meaning, and remembers when it was last heard and by which
name. Which clusterer: `sections` compares whole sections with those remembered; river's hear the texture itself,
vector by vector, and a section is what most of its vectors are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import STANDARDISED_DIMS
from streamseg.engine.labels.clusterer import NEW_LABEL, SectionClusterer
from streamseg.engine.labels.descriptor import WINDOW_STEPS, SectionDescriptor, descriptor_from_bytes
from streamseg.engine.labels.hmm_filter import LabelHmmFilter
from streamseg.engine.labels.river_clusterers import NOISE_CLUSTER, StableClusters
from streamseg.engine.labels.store import DescriptorStore
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.settings import Settings

Floats = NDArray[np.float64]

RELABEL_WINDOW_S = 60.0  # how far back a second look reaches
_MAX_NAMED_SECTIONS = 256  # named sections of earlier runs, the latest
_CLUSTER_RADIUS = 1.0  # deviations within a kind; for clusterers that hear vectors
_MERGE_LOG_ODDS = 2.0  # log-odds that join two labels
_MAJORITY_LOG_ODDS = 8.0  # log-odds of what most vectors of a section are
_MAX_PROBABILITIES = 5


@dataclass(frozen=True, slots=True)
class LabelEstimate:
    """What a section seems to be.

    probabilities: of the likeliest labels; an unheard one stands under the letter it would get. last_seen: stream
    seconds at which it ended the last time, None when new or heard in another run only.
    """

    label: str | None
    name: str | None
    probabilities: dict[str, float]
    seen_before: bool
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class LabelCorrection:
    """A second look at a closed section."""

    section_id: str
    label: str
    previous: str


@dataclass(frozen=True, slots=True)
class _ClosedSection:
    """A section that may still be looked at again."""

    section_id: str
    number: int


class SectionLabeller:
    """Portraits of sections in, labels out."""

    def __init__(self, settings: Settings, model: LabelModel, named_sounds: NamedSounds) -> None:
        """memory: named sections of earlier runs. Content that cannot be read is passed over."""
        named = named_sounds.of_kind("section")[-_MAX_NAMED_SECTIONS:]
        self._model = model
        self._vector_clusters = (
            None if settings.clusterer == "sections" else StableClusters(settings.clusterer, _CLUSTER_RADIUS)
        )
        self._window_sum, self._window_count = np.zeros(STANDARDISED_DIMS), 0
        self._cluster: int | None = None
        self._descriptors = DescriptorStore(model, settings.labels_max + len(named))
        self._clusterer = SectionClusterer(capacity=settings.labels_max, similarity=self._descriptors)
        self._filter = LabelHmmFilter(
            self_transition=float(model.self_transition),
            return_probability=settings.label_returning,
            shares_return_prior=bool(model.shares_return_prior),
            capacity=4 * settings.labels_max,
        )
        self._letters: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._slots: dict[int, int] = {}  # of each label, where its latest section lies
        self._last_seen: dict[int, float] = {}
        self._created_at: dict[int, float] = {}  # the end of its first section
        self._previous_label: int | None = None
        self._letters_given = 0
        self._recent_sections: deque[_ClosedSection] = deque(maxlen=8)
        known: dict[str, int] = {}
        for entry in named:
            try:
                descriptor = descriptor_from_bytes(entry.content)
            except ValueError:
                continue
            number = known.setdefault(entry.name, NEW_LABEL - 1 - len(known))  # below NEW, so that letters stay A, B, C
            self._clusterer.store_section(descriptor, number, pinned=True)
            self._names[number] = entry.name

    def push(self, vector: Floats) -> int | None:
        """Hear a texture vector; what a clusterer of vectors takes it for, where one is asked."""
        if self._vector_clusters is None:
            return None
        self._window_sum += vector[:STANDARDISED_DIMS]
        self._window_count += 1
        if self._window_count == WINDOW_STEPS:
            self._cluster = self._vector_clusters.push(self._window_sum / WINDOW_STEPS @ self._model.projection)
            self._window_sum[:], self._window_count = 0.0, 0
        return self._cluster

    def estimate_label(self, descriptor: SectionDescriptor) -> LabelEstimate:
        """What the section is so far, without learning from it."""
        posterior = self._label_posterior(descriptor)
        return self._make_estimate(self._choose_label(descriptor, posterior), posterior)

    def learn_section(
        self, descriptor: SectionDescriptor, section_id: str, end: float
    ) -> tuple[LabelEstimate, list[LabelCorrection]]:
        """Remember a whole section: what it is called from now on, and what that changes of those just before."""
        posterior = self._label_posterior(descriptor)
        number = self._choose_label(descriptor, posterior)
        guess = self._make_estimate(number, posterior)
        if number is None:
            return guess, []
        if number == NEW_LABEL:
            majority = self._majority_cluster(descriptor)
            number = self._clusterer.create_label() if majority is None else majority
        if number not in self._letters:
            self._letters[number] = label_letters(self._letters_given)
            self._created_at[number] = end
            self._letters_given += 1
        if self._vector_clusters is None:
            self._slots[number] = self._clusterer.store_section(descriptor, number)
        self._filter.record_section(posterior, number, self._previous_label)
        self._previous_label = number
        self._last_seen.pop(number, None)
        self._last_seen[number] = end
        self._recent_sections.append(_ClosedSection(section_id, number))
        relabelled = self._correct_recent_labels(end)
        self._forget_labels()
        return guess, relabelled

    def descriptor_of_label(self, label: str) -> SectionDescriptor | None:
        """What the latest section of a label sounded like, as far as it is remembered."""
        number = next((number for number, letter in self._letters.items() if letter == label), None)
        return self._descriptors.descriptor_at(self._slots[number]) if number in self._slots else None

    def name_of(self, label: str) -> str | None:
        """The name a label has from an earlier run."""
        return next((self._names.get(number) for number, letter in self._letters.items() if letter == label), None)

    def _label_posterior(self, descriptor: SectionDescriptor) -> dict[int, float]:
        if self._vector_clusters is None:
            return self._filter.posterior_probabilities(self._clusterer.label_log_odds(descriptor))
        votes = {identity: n for identity, n in descriptor.cluster_votes.items() if identity != NOISE_CLUSTER}
        most = max(votes.values(), default=0)
        odds = {
            number: float(np.log((votes.get(number, 0) + 0.1) / (most + 0.1))) + _MAJORITY_LOG_ODDS
            for number in self._last_seen
            if number in votes
        }
        if self._majority_cluster(descriptor) not in self._last_seen:
            odds = {number: value - 2 * _MAJORITY_LOG_ODDS for number, value in odds.items()}
        return self._filter.posterior_probabilities(odds)

    def _majority_cluster(self, descriptor: SectionDescriptor) -> int | None:
        """What most of its vectors are; None when that is nothing known."""
        best = max(descriptor.cluster_votes, key=descriptor.cluster_votes.__getitem__, default=NOISE_CLUSTER)
        return None if best == NOISE_CLUSTER else best

    def _choose_label(self, descriptor: SectionDescriptor, posterior: dict[int, float]) -> int | None:
        """The likeliest label, or NEW; None where a clusterer of vectors knows nothing of them."""
        if self._vector_clusters is not None and self._majority_cluster(descriptor) is None:
            return None
        return max(posterior, key=posterior.__getitem__)

    def _make_estimate(self, number: int | None, posterior: dict[int, float]) -> LabelEstimate:
        shown = sorted(posterior, key=posterior.__getitem__, reverse=True)[:_MAX_PROBABILITIES]
        fresh = label_letters(self._letters_given)
        probabilities: dict[str, float] = {}
        for other in shown:  # several names not heard in this run yet would all get the next letter
            letter = self._letters.get(other, fresh)
            probabilities[letter] = round(probabilities.get(letter, 0.0) + posterior[other], 3)
        if number is None:
            return LabelEstimate(None, None, probabilities, seen_before=False, last_seen=None)
        return LabelEstimate(
            self._letters.get(number, fresh),
            self._names.get(number),
            probabilities,
            seen_before=number in self._last_seen or number in self._names,
            last_seen=self._last_seen.get(number),
        )

    def _correct_recent_labels(self, now: float) -> list[LabelCorrection]:
        """Join a label that was founded a moment ago to the one it turns out to be.

        Fixed-lag smoothing (Moore 1973) of one section's lag: what followed counts as well as what came before.
        """
        if self._vector_clusters is not None or len(self._recent_sections) < 2:
            return []
        young, after = self._recent_sections[-2].number, self._recent_sections[-1].number
        if self._created_at.get(young, -np.inf) <= now - RELABEL_WINDOW_S or young in self._names or young == after:
            return []
        odds = {
            number: value
            + float(
                np.log(
                    self._filter.transition_probability(number, after)
                    / self._filter.transition_probability(young, after)
                )
            )
            for number, value in self._clusterer.label_to_label_log_odds(young).items()
            if number in self._last_seen
        }
        old = max(odds, key=odds.__getitem__, default=NEW_LABEL)
        if old == NEW_LABEL or odds[old] < _MERGE_LOG_ODDS:
            return []
        said = [
            LabelCorrection(closed.section_id, self._letters[old], self._letters[young])
            for closed in self._recent_sections
            if closed.number == young
        ]
        self._clusterer.merge_labels(young, old)
        self._filter.merge_labels(young, old)
        self._slots[old] = self._slots.pop(young)
        self._last_seen[old] = max(self._last_seen[old], self._last_seen.pop(young))
        self._recent_sections = deque(
            (
                _ClosedSection(one.section_id, old if one.number == young else one.number)
                for one in self._recent_sections
            ),
            maxlen=self._recent_sections.maxlen,
        )
        return said

    def _forget_labels(self) -> None:
        """What the clusterer has forgotten is forgotten here too."""
        known = self._clusterer.labels if self._vector_clusters is None else set(list(self._last_seen)[-64:])
        for book in (self._letters, self._slots, self._last_seen, self._created_at):
            for number in [number for number in book if number not in known]:
                del book[number]
        self._filter.keep_labels(known)


def label_letters(number: int) -> str:
    """A, B … Z, AA, AB …: the columns of a spreadsheet."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
