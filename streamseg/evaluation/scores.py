"""Scores, as the field counts them.

Sections: `mir_eval.segment.detection`, trimmed (the first and last boundary, which everybody finds, left out).
Transitions of a mix: hit by an estimate from 3 s before its start to 3 s after its end, one to one; every other
estimate is a false alarm. Labels: `mir_eval.segment.pairwise` and `vmeasure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import mir_eval
import numpy as np
from mir_eval.util import match_events
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan

_TRANSITION_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class DetectedBoundary:
    """An estimate: stream seconds of the change and of the decision."""

    t: float
    decided_t: float


@dataclass(frozen=True, slots=True)
class DetectionScore:
    """Precision, recall and F at one tolerance."""

    precision: float
    recall: float
    f: float


def score_detection(truth: list[float], estimates: list[float], window_s: float) -> DetectionScore:
    """Boundaries inside the piece against boundaries inside the piece, one to one, within window_s."""
    if not truth and not estimates:
        return DetectionScore(1.0, 1.0, 1.0)
    if not truth or not estimates:
        return DetectionScore(0.0, 0.0, 0.0)
    hits = len(match_events(np.array(truth), np.array(estimates), window_s))
    return _score_from_counts(hits, len(estimates), len(truth))


def inner_boundaries(spans: tuple[LabelledSpan, ...]) -> list[float]:
    """Where one labelled span gives way to the next: trimmed."""
    return [span.start for span in spans[1:]]


def score_untrimmed(
    truth: list[float], estimates: list[float], start: float, end: float, window_s: float
) -> DetectionScore:
    """As `detection`, the piece's two ends counted as found: mir_eval's default, flattering and often published."""
    reference = _intervals_between(truth, start, end)
    estimate = _intervals_between(estimates, start, end)
    precision, recall, f = mir_eval.segment.detection(reference, estimate, window=window_s)
    return DetectionScore(precision, recall, f)


def score_transitions(
    spans: tuple[LabelledSpan, ...], estimates: list[float]
) -> tuple[DetectionScore, list[tuple[int, int]]]:
    """Transitions of a mix against estimates; and which estimate hit which transition (transition, estimate)."""
    graph: dict[int, list[int]] = {}
    for i, t in enumerate(estimates):
        near = [
            j
            for j, span in enumerate(spans)
            if span.start - _TRANSITION_MARGIN_S <= t <= span.end + _TRANSITION_MARGIN_S
        ]
        if near:
            graph[i] = near
    # mir_eval's matching of events is this one, given the pairs that may match.
    matched = mir_eval.util._bipartite_match(graph)
    pairs = sorted((transition, estimate) for transition, estimate in matched.items())
    if not spans and not estimates:
        return DetectionScore(1.0, 1.0, 1.0), []
    return _score_from_counts(len(pairs), len(estimates), len(spans)), pairs


def match_boundaries(truth: list[float], estimates: list[float], window_s: float) -> list[tuple[int, int]]:
    """Which estimate hit which boundary (boundary, estimate)."""
    if not truth or not estimates:
        return []
    return [(int(i), int(j)) for i, j in match_events(np.array(truth), np.array(estimates), window_s)]


def score_labels(truth: tuple[LabelledSpan, ...], estimate: list[LabelledSpan]) -> tuple[float, float]:
    """Pairwise F and V-measure of labels, over the labelled part."""
    start, end = truth[0].start, truth[-1].end
    reference = np.array([[span.start, span.end] for span in truth])
    reference, names = mir_eval.util.adjust_intervals(reference, [span.label for span in truth], start, end)
    estimate = [span for span in estimate if span.start < end and span.end > start]
    intervals = np.array([[span.start, span.end] for span in estimate])
    intervals, estimated = mir_eval.util.adjust_intervals(intervals, [span.label for span in estimate], start, end)
    reference, intervals = reference - start, intervals - start  # mir_eval wants a piece that begins at 0
    pairwise = mir_eval.segment.pairwise(reference, names, intervals, estimated)[2]
    v = mir_eval.segment.vmeasure(reference, names, intervals, estimated)[2]
    return float(pairwise), float(v)


def bootstrap_interval(values: list[float], *, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the mean over tracks; the seed is fixed, so that a table can be made again."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    means = rng.choice(np.array(values), size=(draws, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _score_from_counts(hits: int, estimated: int, true: int) -> DetectionScore:
    precision = hits / estimated if estimated else 0.0
    recall = hits / true if true else 0.0
    f = 2 * precision * recall / (precision + recall) if hits else 0.0
    return DetectionScore(precision, recall, f)


def _intervals_between(inner: list[float], start: float, end: float) -> NDArray[np.float64]:
    edges = np.unique([start, *(t for t in inner if start < t < end), end])
    return np.column_stack([edges[:-1], edges[1:]])
