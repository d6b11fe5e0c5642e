"""The interface of label matchers, which the labeller uses, and the choice of a matcher by the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.labels.river_matcher import RiverMatcher
from streamseg.engine.labels.section_matcher import SectionMatcher
from streamseg.engine.models.weights import LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.settings import Settings


class LabelMatcher(Protocol):
    """Interface of a store of labelled sections: computes the log-odds that another section has each of the labels."""

    @property
    def names(self) -> Mapping[int, str]:
        """{label number: name that a user gave to the label in an earlier run}; empty if there are none."""

    @property
    def labels(self) -> set[int]:
        """The label numbers that a section can be matched with."""

    def assign_cluster(self, vector: NDArray[np.float64]) -> int | None:
        """Learn from the next texture vector; return the number of its cluster, None if there are no clusters.

        vector: shape (VECTOR_DIMS,).
        """

    def can_label(self, descriptor: SectionDescriptor) -> bool:
        """Return whether this matcher can choose a label, an existing or a new one, for this section."""

    def label_log_odds(self, descriptor: SectionDescriptor) -> dict[int, float]:
        """Return {label: log-odds that the section has this label}; very unlikely labels are left out."""

    def store_section(self, descriptor: SectionDescriptor, label_or_new: int) -> int:
        """Store a section under `label_or_new`, or under a new label if that is NEW_LABEL; return the label number."""

    def merge_if_duplicate(self, label: int, prior_log_odds: Callable[[int], float]) -> int | None:
        """Merge `label` into another label that means the same sound; return the other label, None if there is none.

        prior_log_odds: returns the log-odds to add for another label, given its number.
        """

    def descriptor_of_label(self, label: int) -> SectionDescriptor | None:
        """Return the descriptor of the latest stored section of a label, None when none is stored."""


def make_label_matcher(settings: Settings, model: LabelModel, named_sounds: NamedSounds) -> LabelMatcher:
    """Make the label matcher that `settings.clusterer` names: `SectionMatcher` for "sections", else `RiverMatcher`.

    named_sounds: sections among them are matched by name; river's clusterers ignore them.
    """
    if settings.clusterer == "sections":
        return SectionMatcher(model, settings.labels_max, named_sounds)
    return RiverMatcher(settings.clusterer, model)
