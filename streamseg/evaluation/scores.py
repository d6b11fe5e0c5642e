"""Scores boundaries and labels with the usual measures of music structure analysis.

Sections: `mir_eval.segment.detection`, trimmed (without the first and the last boundary, which are trivial).
Transitions of a mix: an estimate from 3 s before the start to 3 s after the end of a transition is a hit, one to one;
every other estimate is a false alarm. Labels: `mir_eval.segment.pairwise` and `vmeasure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import mir_eval
import numpy as np
from mir_eval.util import match_events
from numpy.typing import NDArray
from scipy.stats import bootstrap

from streamseg.evaluation.annotations import LabelledSpan

_TRANSITION_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class DetectedBoundary:
    """A predicted boundary at stream time `t`, about which the program decided at `decided_t`; both in seconds."""

    t: float
    decided_t: float


@dataclass(frozen=True, slots=True)
class DetectionScore:
    """Precision, recall and F-measure of boundaries at one tolerance, 0 to 1."""

    precision: float
    recall: float
    f: float


class MixTransitionScore(NamedTuple):
    """How well estimated boundaries match the transitions of a mix. pairs: indices of each (transition, estimate)."""

    detection: DetectionScore
    pairs: list[tuple[int, int]]


class LabelScores(NamedTuple):
    """Pairwise F-measure and V-measure of labels, 0 to 1."""

    pairwise_f: float
    v_measure: float


def score_detection(truth: list[float], estimates: list[float], window_s: float) -> DetectionScore:
    """Score estimated boundaries against true ones, in seconds, matched one to one with a tolerance of `window_s`.

    Neither list has the ends of the piece, so the score is trimmed.
    """
    if not truth and not estimates:
        return DetectionScore(1.0, 1.0, 1.0)
    if not truth or not estimates:
        return DetectionScore(0.0, 0.0, 0.0)
    hits = len(match_events(np.array(truth), np.array(estimates), window_s))
    return _score_from_counts(hits, len(estimates), len(truth))


def inner_boundaries(spans: tuple[LabelledSpan, ...]) -> list[float]:
    """Return the boundaries between spans, in seconds: the starts of all spans but the first."""
    return [span.start for span in spans[1:]]


def score_untrimmed(
    truth: list[float], estimates: list[float], start: float, end: float, window_s: float
) -> DetectionScore:
    """Score estimated boundaries against true ones, in seconds, with both ends of the piece counted as hits.

    start, end: of the piece. window_s: as in `score_detection`. This is the default of mir_eval; it is often published
    and higher than the trimmed score.
    """
    reference = _intervals_between(truth, start, end)
    estimate = _intervals_between(estimates, start, end)
    precision, recall, f = mir_eval.segment.detection(reference, estimate, window=window_s)
    return DetectionScore(precision, recall, f)


def score_mix_transitions(spans: tuple[LabelledSpan, ...], estimates: list[float]) -> MixTransitionScore:
    """Score estimated boundaries, in seconds, against the annotated transitions between the tracks of a mix."""
    graph: dict[int, list[int]] = {}
    for i, t in enumerate(estimates):
        candidates = [
            j
            for j, span in enumerate(spans)
            if span.start - _TRANSITION_MARGIN_S <= t <= span.end + _TRANSITION_MARGIN_S
        ]
        if candidates:
            graph[i] = candidates
    # `mir_eval.util.match_events` does the same, but its pairs lie within a fixed window.
    matching = mir_eval.util._bipartite_match(graph)
    pairs = sorted((transition, estimate) for transition, estimate in matching.items())
    if not spans and not estimates:
        return MixTransitionScore(DetectionScore(1.0, 1.0, 1.0), [])
    return MixTransitionScore(_score_from_counts(len(pairs), len(estimates), len(spans)), pairs)


def match_boundaries(truth: list[float], estimates: list[float], window_s: float) -> list[tuple[int, int]]:
    """Match true and estimated boundaries, in seconds, one to one; return the indices (true, estimate) of each pair.

    window_s: largest distance of a pair, seconds.
    """
    if not truth or not estimates:
        return []
    return [(int(i), int(j)) for i, j in match_events(np.array(truth), np.array(estimates), window_s)]


def score_labels(truth: tuple[LabelledSpan, ...], estimate: list[LabelledSpan]) -> LabelScores:
    """Score estimated labels against true ones by pairwise F-measure and V-measure, in the annotated part."""
    start, end = truth[0].start, truth[-1].end
    reference = np.array([[span.start, span.end] for span in truth])
    reference, names = mir_eval.util.adjust_intervals(reference, [span.label for span in truth], start, end)
    estimate = [span for span in estimate if span.start < end and span.end > start]
    intervals = np.array([[span.start, span.end] for span in estimate])
    intervals, estimate_names = mir_eval.util.adjust_intervals(intervals, [span.label for span in estimate], start, end)
    reference, intervals = reference - start, intervals - start  # mir_eval needs a piece that begins at 0
    pairwise = mir_eval.segment.pairwise(reference, names, intervals, estimate_names)[2]
    v = mir_eval.segment.vmeasure(reference, names, intervals, estimate_names)[2]
    return LabelScores(float(pairwise), float(v))


def bootstrap_interval(values: list[float], *, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % confidence interval (low, high) of the mean of values, by bootstrap with a fixed seed.

    draws: number of resamples. NaN without values; one value is both ends.
    """
    if len(values) < 2:
        return (values[0], values[0]) if values else (float("nan"), float("nan"))
    low, high = bootstrap((values,), np.mean, n_resamples=draws, method="percentile", rng=0).confidence_interval
    return float(low), float(high)


def _score_from_counts(hits: int, n_estimates: int, n_true: int) -> DetectionScore:
    precision = hits / n_estimates if n_estimates else 0.0
    recall = hits / n_true if n_true else 0.0
    f = 2 * precision * recall / (precision + recall) if hits else 0.0
    return DetectionScore(precision, recall, f)


def _intervals_between(inner: list[float], start: float, end: float) -> NDArray[np.float64]:
    edges = np.unique([start, *(t for t in inner if start < t < end), end])
    return np.column_stack([edges[:-1], edges[1:]])
