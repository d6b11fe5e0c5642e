"""A sticky hidden Markov filter: what comes next, given what came, learned while it goes on.

The hidden state is the label of a section, and there is always one more, NEW. Forward filtering (Rabiner 1989,
eq. 19-20) with transitions counted as they happen, a Dirichlet prior that favours none, and extra weight on staying
(the sticky HDP-HMM, Fox, Sudderth, Jordan & Willsky 2011; here with counts instead of sampling). How often
something new comes is counted the same way.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.clustering import NEW

_LEAST = 0.25  # counts below are forgotten when there are too many
_MOST_ODDS = 12.0  # of one piece of evidence: nothing is surer than that


class StickyFilter:
    """Log-odds of each label in, probabilities out.

    stay: weight of staying where one is, in transitions. returning: how likely something heard before is, at first;
    counted as `PRIOR` sections. shared: whether all labels share that; else each has as much for itself, until all of
    them together are as likely as something new, or as often as returns were counted. capacity: transitions counted.
    """

    PRIOR = 4.0

    def __init__(self, *, stay: float, returning: float, capacity: int, shared: bool = True) -> None:
        self._stay = stay
        self._shared = shared
        self._returning = returning
        self._capacity = capacity
        self._counts: dict[tuple[int, int], float] = {}
        self._entered = self._returned = 0.0
        self._belief: dict[int, float] = {}

    def prior(self, labels: set[int]) -> dict[int, float]:
        """How probable each label, and NEW, is for the next section, before any of it is heard."""
        old = (self._returned + self.PRIOR * self._returning) / (self._entered + self.PRIOR)
        if not self._shared:
            odds = max(old / (1.0 - old), min(len(labels) * self._returning / (1.0 - self._returning), 1.0))
            old = odds / (1.0 + odds)
        if not labels:
            return {NEW: 1.0}
        leaving: dict[int, float] = {}
        for (before, _), count in self._counts.items():
            leaving[before] = leaving.get(before, 0.0) + count
        even = 1.0 / len(labels)
        spread = dict.fromkeys(sorted(labels), 1e-6 * even)
        for before, belief in self._belief.items():
            weight = belief / (self._stay + 1.0 + leaving.get(before, 0.0))
            for label in spread:
                spread[label] += weight * (
                    self._counts.get((before, label), 0.0) + self._stay * (label == before) + even
                )
        total = sum(spread.values())
        return {NEW: 1.0 - old, **{label: old * value / total for label, value in spread.items()}}

    def posterior(self, odds: dict[int, float]) -> dict[int, float]:
        """The same once log-odds were heard; a label without any is out of the question."""
        prior = self.prior(set(odds))
        weights = {
            label: float(np.log(max(chance, 1e-12)) + (0.0 if label == NEW else np.clip(odds[label], -50, _MOST_ODDS)))
            for label, chance in prior.items()
        }
        top = max(weights.values())
        likely = {label: float(np.exp(weight - top)) for label, weight in weights.items()}
        total = sum(likely.values())
        return {label: value / total for label, value in likely.items()}

    def settle(self, posterior: dict[int, float], label: int, before: int | None) -> None:
        """A section is over: it bore this label, after one of label `before`. The belief stays as soft as it was."""
        new = label not in posterior
        self._belief = {(label if other == NEW and new else other): p for other, p in posterior.items() if p > 1e-3}
        self._belief.setdefault(label, 1.0)
        self._entered += 1.0
        self._returned += not new
        if before is not None:
            self._counts[before, label] = self._counts.get((before, label), 0.0) + 1.0
        while len(self._counts) > self._capacity:
            self._counts = {key: count / 2 for key, count in self._counts.items() if count / 2 >= _LEAST}

    def follows(self, label: int, after: int) -> float:
        """How probable it is that one label follows another: what smoothing looks at, one section later."""
        leaving = sum(count for (before, _), count in self._counts.items() if before == label)
        return (self._counts.get((label, after), 0.0) + 0.1) / (leaving + 1.0)

    def join(self, label: int, into: int) -> None:
        """Two labels turned out to be one."""
        for (before, after), count in list(self._counts.items()):
            if label in (before, after):
                del self._counts[before, after]
                key = (into if before == label else before, into if after == label else after)
                self._counts[key] = self._counts.get(key, 0.0) + count
        if label in self._belief:
            self._belief[into] = self._belief.get(into, 0.0) + self._belief.pop(label)

    def forget(self, known: set[int]) -> None:
        """Keep only what concerns these labels."""
        self._counts = {key: count for key, count in self._counts.items() if key[0] in known and key[1] in known}
