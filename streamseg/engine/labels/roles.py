"""Estimates the role of a section: the probability that it is an intro, a verse, a chorus, a bridge or an outro.

Eleven features describe a section: how often its label occurred, its level beside the sections before, and its place
in the song. A multinomial logistic regression (`models/roles.npz`, fitted by `tools.training.role_training`) turns
them into probabilities.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import LEVEL
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.models.loader import load_shipped_arrays

Floats = NDArray[np.float64]

ROLES: Final = ("intro", "verse-like", "chorus-like", "bridge-like", "outro")
N_ROLE_FEATURES: Final = 11
_WEIGHTS: Final = load_shipped_arrays("roles")
_MAX_SONG_S: Final = 360.0  # later sections have no role: no song of the training data is longer


class SongRoleClassifier:
    """Estimates the role of each section of a song: intro, verse, chorus, bridge or outro; sections come in order."""

    def __init__(self) -> None:
        self.start_song()

    def start_song(self) -> None:
        """Forget all sections so far: the next section is the first one of another song."""
        self._label_counts: dict[str, int] = {}  # sections of each label
        self._levels: list[float] = []
        self._start: float | None = None

    def add_and_classify_section(
        self, descriptor: SectionDescriptor, label: str, start: float, end: float
    ) -> dict[str, float]:
        """Add the next section to the song; return {role: probability that the section has this role}.

        Adds nothing and returns {} when the section begins more than 360 s after the song began.

        start, end: of the section, stream seconds.
        """
        if self._start is not None and start - self._start > _MAX_SONG_S:
            return {}
        features = self.add_section_and_compute_features(descriptor, label, start, end)
        log_odds = (features - _WEIGHTS["mean"]) / _WEIGHTS["std"] @ _WEIGHTS["weights"] + _WEIGHTS["bias"]
        weights = np.exp(log_odds - log_odds.max())
        return {role: float(weight) for role, weight in zip(ROLES, weights / weights.sum(), strict=True)}

    def merge_labels(self, label: str, into: str) -> None:
        """Count all sections that were added with `label` as sections of the label `into`."""
        self._label_counts[into] = self._label_counts.get(into, 0) + self._label_counts.pop(label, 0)

    def add_section_and_compute_features(
        self, descriptor: SectionDescriptor, label: str, start: float, end: float
    ) -> Floats:
        """Add a section to the song; return the features from which its role is estimated, shape (N_ROLE_FEATURES,).

        start, end: of the section, stream seconds.
        """
        levels, level = self._levels, float(descriptor.mean[LEVEL][0])
        self._start = start if self._start is None else self._start
        count = self._label_counts.get(label, 0)
        features = np.array([
            len(levels) == 0,
            len(levels) == 1,
            len(levels),
            start - self._start,
            end - start,
            count,
            count > 0,
            len(self._label_counts),
            level - float(np.mean(levels)) if levels else 0.0,
            level,
            0 < count == max(self._label_counts.values(), default=0),
        ], dtype=np.float64)  # fmt: skip
        self._label_counts[label] = count + 1
        levels.append(level)
        return features
