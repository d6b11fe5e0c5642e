"""A hidden Markov filter over the labels of successive sections, which learns their transitions online.

The hidden state is the label of a section; NEW_LABEL is one more state. Forward filtering (Rabiner 1989, eq. 19-20)
with transitions counted as they occur, a uniform Dirichlet prior, and extra weight on self-transitions (the sticky
HDP-HMM, Fox, Sudderth, Jordan & Willsky 2011; here with counts instead of sampling). The share of new labels is
counted too.
"""

from __future__ import annotations

import numpy as np

from streamseg.engine.labels.clusterer import NEW_LABEL

_MIN_COUNT = 0.25  # lower counts are removed when the table is full and all are halved
_MIN_LOG_ODDS, _MAX_LOG_ODDS = -50.0, 12.0  # observations are clipped to these


class LabelHmmFilter:
    """Computes the probability of each label for a section, from how the section sounds and from the labels before it.

    How it sounds is given as log-odds of the labels; which labels follow each other is learned from earlier sections.

    self_transition: weight of the prior of a self-transition, in transitions.
    return_probability: prior probability that a section has a label that was seen before, with the weight of
    `PRIOR_SECTIONS` sections.
    shares_return_prior: True when all labels share that probability. False when each label has it by itself, until all
    labels together are as likely as a new one, or as likely as the counted returns say.
    capacity: number of different transitions that are counted.
    """

    PRIOR_SECTIONS = 4.0

    def __init__(
        self, *, self_transition: float, return_probability: float, capacity: int, shares_return_prior: bool = True
    ) -> None:
        self._self_transition = self_transition
        self._shares_return_prior = shares_return_prior
        self._return_probability = return_probability
        self._capacity = capacity
        self._transition_counts: dict[tuple[int, int], float] = {}
        self._n_sections = self._n_returns = 0.0
        self._belief: dict[int, float] = {}

    def compute_prior_probabilities(self, labels: set[int]) -> dict[int, float]:
        """Return {label: probability that the next section has this label}, before it is observed.

        For each of `labels`, and for NEW_LABEL.
        """
        if not labels:
            return {NEW_LABEL: 1.0}
        return_probability = self._probability_of_return(len(labels))
        counts_from: dict[int, float] = {}
        for (previous, _), count in self._transition_counts.items():
            counts_from[previous] = counts_from.get(previous, 0.0) + count
        uniform = 1.0 / len(labels)
        weights = dict.fromkeys(sorted(labels), 1e-6 * uniform)
        for previous, belief in self._belief.items():
            scale = belief / (self._self_transition + 1.0 + counts_from.get(previous, 0.0))
            for label in weights:
                count = self._transition_counts.get((previous, label), 0.0)
                weights[label] += scale * (count + self._self_transition * (label == previous) + uniform)
        total = sum(weights.values())
        returns = {label: return_probability * weight / total for label, weight in weights.items()}
        return {NEW_LABEL: 1.0 - return_probability, **returns}

    def compute_posterior_probabilities(self, label_log_odds: dict[int, float]) -> dict[int, float]:
        """Return {label: probability that the section has this label}, from the prior probabilities and the log-odds.

        For each label in `label_log_odds`, and for NEW_LABEL. label_log_odds: {label: log-odds that the section has
        it}; a label that is missing is impossible.
        """
        prior = self.compute_prior_probabilities(set(label_log_odds))
        log_weights = {
            label: float(
                np.log(max(probability, 1e-12))
                + (0.0 if label == NEW_LABEL else np.clip(label_log_odds[label], _MIN_LOG_ODDS, _MAX_LOG_ODDS))
            )
            for label, probability in prior.items()
        }
        highest = max(log_weights.values())
        weights = {label: float(np.exp(weight - highest)) for label, weight in log_weights.items()}
        total = sum(weights.values())
        return {label: weight / total for label, weight in weights.items()}

    def record_section(self, posterior: dict[int, float], label: int, previous: int | None) -> None:
        """Count that a section got `label` after a section with the label `previous` (None: it is the first section).

        posterior: the result of `compute_posterior_probabilities` for this section; the next prior is computed from it.
        """
        is_new = label not in posterior
        self._belief = {
            (label if other == NEW_LABEL and is_new else other): p for other, p in posterior.items() if p > 1e-3
        }
        self._belief.setdefault(label, 1.0)
        self._n_sections += 1.0
        self._n_returns += not is_new
        if previous is not None:
            self._transition_counts[previous, label] = self._transition_counts.get((previous, label), 0.0) + 1.0
        while len(self._transition_counts) > self._capacity:
            self._transition_counts = {
                key: count / 2 for key, count in self._transition_counts.items() if count / 2 >= _MIN_COUNT
            }

    def transition_probability(self, label: int, following: int) -> float:
        """Return the probability that the section after a section with `label` has the label `following`."""
        total = sum(count for (previous, _), count in self._transition_counts.items() if previous == label)
        return (self._transition_counts.get((label, following), 0.0) + 0.1) / (total + 1.0)

    def merge_labels(self, label: int, into: int) -> None:
        """Move the counted transitions and the probability of `label` to the label `into`."""
        for (previous, following), count in list(self._transition_counts.items()):
            if label in (previous, following):
                del self._transition_counts[previous, following]
                key = (into if previous == label else previous, into if following == label else following)
                self._transition_counts[key] = self._transition_counts.get(key, 0.0) + count
        if label in self._belief:
            self._belief[into] = self._belief.get(into, 0.0) + self._belief.pop(label)

    def forget_transitions_except(self, labels: set[int]) -> None:
        """Delete the counts of transitions from or to labels that are not in `labels`."""
        self._transition_counts = {
            key: count for key, count in self._transition_counts.items() if key[0] in labels and key[1] in labels
        }

    def _probability_of_return(self, n_labels: int) -> float:
        """The probability that the next section has one of the labels."""
        prior_returns = self.PRIOR_SECTIONS * self._return_probability
        probability = (self._n_returns + prior_returns) / (self._n_sections + self.PRIOR_SECTIONS)
        if self._shares_return_prior:
            return probability
        separate_odds = n_labels * self._return_probability / (1.0 - self._return_probability)
        odds = max(probability / (1.0 - probability), min(separate_odds, 1.0))
        return odds / (1.0 + odds)
