"""The interface between the labeller and what matches sections with labels, and the choice of one by the settings."""

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
    """Matches sections with label numbers. `SectionMatcher` compares whole sections, `RiverMatcher` counts votes."""

    @property
    def names(self) -> Mapping[int, str]:
        """The names that labels have from earlier runs, by label number."""

    @property
    def labels(self) -> set[int]:
        """The labels that a section can be matched with."""

    def push(self, vector: NDArray[np.float64]) -> int | None:
        """Process the next texture vector, shape (VECTOR_DIMS,); returns its cluster, None without clusters."""

    def can_match(self, descriptor: SectionDescriptor) -> bool:
        """Whether enough is known about the section to give it a label, an old or a new one."""

    def label_log_odds(self, descriptor: SectionDescriptor) -> dict[int, float]:
        """Log-odds that the section belongs to each label; labels that are out of the question are left out."""

    def store_section(self, descriptor: SectionDescriptor, label: int) -> int:
        """Store a section under a label, NEW_LABEL for a label of its own; returns the label."""

    def merge_duplicate(self, label: int, prior_log_odds: Callable[[int], float]) -> int | None:
        """Merge a label into the one that it duplicates; returns that one, None when it duplicates none.

        prior_log_odds: log-odds to add for each possible duplicate.
        """

    def descriptor_of_label(self, label: int) -> SectionDescriptor | None:
        """The descriptor of the latest stored section of a label, None when there is none."""


def make_label_matcher(settings: Settings, model: LabelModel, named_sounds: NamedSounds) -> LabelMatcher:
    """Make the matcher that `settings.clusterer` names."""
    if settings.clusterer == "sections":
        return SectionMatcher(model, settings.labels_max, named_sounds)
    return RiverMatcher(settings.clusterer, model)
