"""Labels sections: a section gets the same letters whenever it returns.

A `LabelMatcher` gives the log-odds that a section belongs to each label, an HMM filter combines them with the order in
which labels usually follow, and the labeller turns label numbers into letters and remembers when each was last seen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.hmm_filter import LabelHmmFilter
from streamseg.engine.labels.label_matcher import make_label_matcher
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.settings import Settings

RELABEL_WINDOW_S: Final = 60.0  # a label can be merged into another until so long after its first section
_MAX_RECENT_SECTIONS: Final = 8
_MAX_PROBABILITIES: Final = 5


@dataclass(frozen=True, slots=True)
class LabelEstimate:
    """The estimated label of a section, the name of that label, and the probabilities of the likeliest labels.

    label: letters, None when the section cannot be labelled yet. name: of the label, from an earlier run; None without
    one. probabilities: of the likeliest labels, by letters; a new label has the letters that it would get. seen_before:
    whether an earlier section, of this run or an earlier one, had the label. last_seen: stream seconds at which the
    latest section of the label ended; None for a new label, and for one that was only seen in earlier runs.
    """

    label: str | None
    name: str | None
    probabilities: dict[str, float]
    seen_before: bool
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class LabelCorrection:
    """A later change of the label of a closed section, from `previous` to `label`; both are letters."""

    section_id: str
    label: str
    previous: str


class LabelWithCorrections(NamedTuple):
    """The label estimate of a section that closed, and corrections of the labels of sections that closed before it."""

    estimate: LabelEstimate
    corrections: list[LabelCorrection]


@dataclass(slots=True)
class _Label:
    """A label of this run; times are ends of sections in stream seconds."""

    letters: str
    created_at: float
    last_seen: float


@dataclass(slots=True)
class _ClosedSection:
    """A section whose label can still be corrected."""

    section_id: str
    label: int


class SectionLabeller:
    """Assigns labels (A, B, …) to the sections of a stream; a section that returns gets the same label again."""

    def __init__(self, settings: Settings, model: LabelModel, named_sounds: NamedSounds) -> None:
        """named_sounds: the sections among them are recognised by name; those that cannot be decoded are skipped."""
        self._matcher = make_label_matcher(settings, model, named_sounds)
        self._filter = LabelHmmFilter(
            self_transition=float(model.self_transition),
            return_probability=settings.label_returning,
            shares_return_prior=bool(model.shares_return_prior),
            capacity=4 * settings.labels_max,
        )
        self._labels: dict[int, _Label] = {}
        self._labels_created = 0
        self._previous_label: int | None = None
        self._recent_sections: deque[_ClosedSection] = deque(maxlen=_MAX_RECENT_SECTIONS)

    def assign_cluster(self, vector: NDArray[np.float64]) -> int | None:
        """Learn from the next texture vector; return the number of its cluster, None if there are no clusters.

        vector: shape (VECTOR_DIMS,).
        """
        return self._matcher.assign_cluster(vector)

    def estimate_label(self, descriptor: SectionDescriptor) -> LabelEstimate:
        """Estimate the label of a section in progress, from its descriptor so far; nothing is stored or learned."""
        posterior = self._filter.compute_posterior_probabilities(self._matcher.label_log_odds(descriptor))
        return self._make_estimate(self._choose_label(descriptor, posterior), posterior)

    def label_closed_section(self, descriptor: SectionDescriptor, section_id: str, end: float) -> LabelWithCorrections:
        """Choose a closed section's label and store the section; return the label and corrections of earlier labels.

        end: of the section, stream seconds.
        """
        posterior = self._filter.compute_posterior_probabilities(self._matcher.label_log_odds(descriptor))
        label = self._choose_label(descriptor, posterior)
        estimate = self._make_estimate(label, posterior)
        if label is None:
            return LabelWithCorrections(estimate, [])
        label = self._matcher.store_section(descriptor, label)
        if label not in self._labels:
            self._labels[label] = _Label(label_letters(self._labels_created), created_at=end, last_seen=end)
            self._labels_created += 1
        self._labels[label].last_seen = end
        self._filter.record_section(posterior, label, self._previous_label)
        self._previous_label = label
        self._recent_sections.append(_ClosedSection(section_id, label))
        corrections = self._correct_recent_labels(end)
        self._forget_labels()
        return LabelWithCorrections(estimate, corrections)

    def descriptor_of_label(self, letters: str) -> SectionDescriptor | None:
        """Return the descriptor of the latest section with the label `letters`; None when none is stored."""
        label = self._find_label(letters)
        return None if label is None else self._matcher.descriptor_of_label(label)

    def name_of_label(self, letters: str) -> str | None:
        """Return the name that the label `letters` got in an earlier run; None when it has no name."""
        label = self._find_label(letters)
        return None if label is None else self._matcher.names.get(label)

    def _find_label(self, letters: str) -> int | None:
        return next((label for label, entry in self._labels.items() if entry.letters == letters), None)

    def _choose_label(self, descriptor: SectionDescriptor, posterior: dict[int, float]) -> int | None:
        """The likeliest label, NEW_LABEL included; None when the section cannot be labelled."""
        return max(posterior, key=posterior.__getitem__) if self._matcher.can_label(descriptor) else None

    def _make_estimate(self, label: int | None, posterior: dict[int, float]) -> LabelEstimate:
        new_letters = label_letters(self._labels_created)
        letters_of = {number: entry.letters for number, entry in self._labels.items()}
        probabilities: dict[str, float] = {}
        for number in sorted(posterior, key=posterior.__getitem__, reverse=True)[:_MAX_PROBABILITIES]:
            # NEW_LABEL and every name that this run has not seen yet share the next letters.
            letters = letters_of.get(number, new_letters)
            probabilities[letters] = round(probabilities.get(letters, 0.0) + posterior[number], 3)
        if label is None:
            return LabelEstimate(None, None, probabilities, seen_before=False, last_seen=None)
        return LabelEstimate(
            letters_of.get(label, new_letters),
            self._matcher.names.get(label),
            probabilities,
            seen_before=label in self._labels or label in self._matcher.names,
            last_seen=self._labels[label].last_seen if label in self._labels else None,
        )

    def _correct_recent_labels(self, now: float) -> list[LabelCorrection]:
        """Merge the label of the section before the last into the label that it duplicates, if it is a young one.

        Fixed-lag smoothing (Moore 1973) with a lag of one section: the label that followed counts too.
        """
        if len(self._recent_sections) < 2:
            return []
        young, following = self._recent_sections[-2].label, self._recent_sections[-1].label
        if (
            young == following
            or young in self._matcher.names
            or young not in self._labels
            or self._labels[young].created_at <= now - RELABEL_WINDOW_S
        ):
            return []

        def transition_log_odds(old: int) -> float:
            return float(
                np.log(
                    self._filter.transition_probability(old, following)
                    / self._filter.transition_probability(young, following)
                )
            )

        old = self._matcher.merge_if_duplicate(young, transition_log_odds)
        if old is None:
            return []
        self._filter.merge_labels(young, old)
        merged_label = self._labels.pop(young)
        self._labels[old].last_seen = max(self._labels[old].last_seen, merged_label.last_seen)
        corrections = []
        for section in self._recent_sections:
            if section.label == young:
                section.label = old
                corrections.append(LabelCorrection(section.section_id, self._labels[old].letters, merged_label.letters))
        return corrections

    def _forget_labels(self) -> None:
        """Forget the labels that the matcher has forgotten."""
        labels = self._matcher.labels
        self._labels = {label: entry for label, entry in self._labels.items() if label in labels}
        self._filter.forget_transitions_except(labels)


def label_letters(number: int) -> str:
    """Return the letters of a label number, like the columns of a spreadsheet: 0 is A, 25 is Z, 26 is AA."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
