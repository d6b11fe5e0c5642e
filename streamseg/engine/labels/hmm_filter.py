"""A sticky hidden Markov filter: what comes next, given what came, learned while it goes on.

The hidden state is the label of a section, and there is always one more, NEW. Forward filtering (Rabiner 1989,
eq. 19-20) with transitions counted as they happen, a Dirichlet prior that favours none, and extra weight on staying
(the sticky HDP-HMM, Fox, Sudderth, Jordan & Willsky 2011; here with counts instead of sampling). How often
something new comes is counted the same way.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.labels.clusterer import NEW_LABEL

_MIN_COUNT = 0.25  # counts below are forgotten when there are too many
_MAX_LOG_ODDS = 12.0  # of one piece of evidence: nothing is surer than that


class LabelHmmFilter:
    """Log-odds of each label in, probabilities out.

    stay: weight of staying where one is, in transitions. returning: how likely something heard before is, at first;
    counted as `PRIOR` sections. shared: whether all labels share that; else each has as much for itself, until all of
    them together are as likely as something new, or as often as returns were counted. capacity: transitions counted.
    """

    PRIOR = 4.0

    def __init__(
        self, *, self_transition: float, return_probability: float, capacity: int, shares_return_prior: bool = True
    ) -> None:
        self._self_transition = self_transition
        self._shares_return_prior = shares_return_prior
        self._return_probability = return_probability
        self._capacity = capacity
        self._transition_counts: dict[tuple[int, int], float] = {}
        self._sections = self._returns = 0.0
        self._belief: dict[int, float] = {}

    def prior_probabilities(self, labels: set[int]) -> dict[int, float]:
        """How probable each label, and NEW, is for the next section, before any of it is heard."""
        old = (self._returns + self.PRIOR * self._return_probability) / (self._sections + self.PRIOR)
        if not self._shares_return_prior:
            odds = max(
                old / (1.0 - old), min(len(labels) * self._return_probability / (1.0 - self._return_probability), 1.0)
            )
            old = odds / (1.0 + odds)
        if not labels:
            return {NEW_LABEL: 1.0}
        leaving: dict[int, float] = {}
        for (before, _), count in self._transition_counts.items():
            leaving[before] = leaving.get(before, 0.0) + count
        even = 1.0 / len(labels)
        spread = dict.fromkeys(sorted(labels), 1e-6 * even)
        for before, belief in self._belief.items():
            weight = belief / (self._self_transition + 1.0 + leaving.get(before, 0.0))
            for label in spread:
                spread[label] += weight * (
                    self._transition_counts.get((before, label), 0.0) + self._self_transition * (label == before) + even
                )
        total = sum(spread.values())
        return {NEW_LABEL: 1.0 - old, **{label: old * value / total for label, value in spread.items()}}

    def posterior_probabilities(self, odds: dict[int, float]) -> dict[int, float]:
        """The same once log-odds were heard; a label without any is out of the question."""
        prior = self.prior_probabilities(set(odds))
        weights = {
            label: float(
                np.log(max(chance, 1e-12)) + (0.0 if label == NEW_LABEL else np.clip(odds[label], -50, _MAX_LOG_ODDS))
            )
            for label, chance in prior.items()
        }
        top = max(weights.values())
        likely = {label: float(np.exp(weight - top)) for label, weight in weights.items()}
        total = sum(likely.values())
        return {label: value / total for label, value in likely.items()}

    def record_section(self, posterior: dict[int, float], label: int, before: int | None) -> None:
        """A section is over: it bore this label, after one of label `before`. The belief stays as soft as it was."""
        new = label not in posterior
        self._belief = {
            (label if other == NEW_LABEL and new else other): p for other, p in posterior.items() if p > 1e-3
        }
        self._belief.setdefault(label, 1.0)
        self._sections += 1.0
        self._returns += not new
        if before is not None:
            self._transition_counts[before, label] = self._transition_counts.get((before, label), 0.0) + 1.0
        while len(self._transition_counts) > self._capacity:
            self._transition_counts = {
                key: count / 2 for key, count in self._transition_counts.items() if count / 2 >= _MIN_COUNT
            }

    def transition_probability(self, label: int, after: int) -> float:
        """How probable it is that one label follows another: what smoothing looks at, one section later."""
        leaving = sum(count for (before, _), count in self._transition_counts.items() if before == label)
        return (self._transition_counts.get((label, after), 0.0) + 0.1) / (leaving + 1.0)

    def merge_labels(self, label: int, into: int) -> None:
        """Two labels turned out to be one."""
        for (before, after), count in list(self._transition_counts.items()):
            if label in (before, after):
                del self._transition_counts[before, after]
                key = (into if before == label else before, into if after == label else after)
                self._transition_counts[key] = self._transition_counts.get(key, 0.0) + count
        if label in self._belief:
            self._belief[into] = self._belief.get(into, 0.0) + self._belief.pop(label)

    def keep_labels(self, labels: set[int]) -> None:
        """Keep only what concerns these labels."""
        self._transition_counts = {
            key: count for key, count in self._transition_counts.items() if key[0] in labels and key[1] in labels
        }
