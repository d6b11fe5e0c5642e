"""Comparison of all clusterers: accuracy of their labels, time of an update, and memory.

    python -m tools.comparison.clusterers mixes --profile dj
    python -m tools.comparison.clusterers songs --own

Every clusterer processes the texture of every annotated file. The boundaries are the true ones, slightly displaced and
as late as the detector's; with `--own`, the detector's.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.tracker import BoundaryDecision, BoundaryTracker
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.models.loader import load_boundary_model, load_label_model
from streamseg.engine.models.weights import BoundaryModel, LabelModel
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import AnnotatedFile, LabelledSpan, find_annotated_files
from streamseg.evaluation.tracks import extract_texture, step_to_time
from streamseg.settings import PROFILES, ClustererName, Settings, make_settings
from streamseg.wire.events import BoundaryConfirmed, Event, SectionClosed, SectionRelabelled, SectionUpdated

Floats = NDArray[np.float64]
Boundaries: TypeAlias = list[tuple[int, int]]  # (step of the boundary, step of its decision)

LOOKBACK_S = 30.0
DECISION_DELAY_S = 10.0
SCORED_WITHIN_S = 15.0
_PLACEMENT_ERROR_S = 0.7


@dataclass(frozen=True, slots=True)
class ReturnCounts:
    """Counts of returning sections and of those recognised in time; of new sections and of those falsely recognised."""

    returns: int = 0
    recognised: int = 0
    new: int = 0
    false: int = 0


@dataclass(slots=True)
class LabelHistory:
    """The labels of one file.

    sections: (start, end, label) by section id. estimates: (t, label, seen before) by section id, while it was open.
    """

    sections: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    estimates: dict[str, list[tuple[float, str | None, bool]]] = field(default_factory=dict)

    def add_events(self, events: Iterable[Event], t: float) -> None:
        """Record the labels in events at stream time t."""
        for event in events:
            match event.data:
                case BoundaryConfirmed(next=after):
                    self.estimates.setdefault(after.section_id, []).append((t, after.label, after.seen_before))
                case SectionUpdated() as update:
                    self.estimates.setdefault(update.section_id, []).append((t, update.label, update.seen_before))
                case SectionClosed() as section:
                    self.sections[section.section_id] = (section.start, section.end, section.label or "?")
                case SectionRelabelled() as change:
                    start, end, _ = self.sections[change.section_id]
                    self.sections[change.section_id] = (start, end, change.label)


def label_sections(
    vectors: Floats,
    boundaries: Boundaries,
    settings: Settings,
    model: LabelModel,
    durations_s: list[float] | None = None,
) -> tuple[LabelHistory, SectionTracker]:
    """Label the sections between given boundaries; durations_s: the duration of each update is appended to it."""
    tracker, history = SectionTracker(settings, LOOKBACK_S, model, NamedSounds()), LabelHistory()
    due = {decided: (number, step) for number, (step, decided) in enumerate(boundaries, 1)}
    for step, vector in enumerate(vectors, 1):
        t = float(step_to_time(step))
        began = perf_counter()
        events = tracker.push(vector)
        if step in due:
            number, at = due[step]
            decision = BoundaryDecision("confirmed", number, at, 1.0, 0.5)
            events += tracker.apply_decision(decision, float(step_to_time(at)), t, 0.5, at_end=False)
        if durations_s is not None:
            durations_s.append(perf_counter() - began)
        history.add_events(events, t)
    end = float(step_to_time(len(vectors)))
    history.add_events(tracker.close_section(end, "end", at_end=True), end)
    return history, tracker


def simulate_boundaries(spans: Sequence[LabelledSpan], steps: int, rng: np.random.Generator) -> Boundaries:
    """Return the boundaries of labelled spans, displaced and delayed as by the detector."""
    boundaries: Boundaries = []
    for span in spans[1:]:
        at = max(
            span.start + float(rng.laplace(0.0, _PLACEMENT_ERROR_S)),
            (boundaries[-1][0] + 4) * STEP_S if boundaries else 2.0,
        )
        step = round(at / STEP_S)
        decided = max(step + round(DECISION_DELAY_S / STEP_S), boundaries[-1][1] + 1 if boundaries else 0)
        if decided < steps:
            boundaries.append((step, decided))
    return boundaries


def detect_boundaries(vectors: Floats, settings: Settings, model: BoundaryModel | None = None) -> Boundaries:
    """Return the boundaries that the detector confirms, with the shipped model by default."""
    model = model or load_boundary_model(settings.profile)
    classifier, tracker = BoundaryClassifier(model), BoundaryTracker(settings, model)
    boundaries: Boundaries = []
    for step, vector in enumerate(vectors, 1):
        for decision in tracker.push(classifier.push(vector)):
            if decision.state == "confirmed":
                boundaries.append((decision.step, max(step, boundaries[-1][1] + 1 if boundaries else 0)))
    return boundaries


def count_returns(spans: Sequence[LabelledSpan], history: LabelHistory) -> ReturnCounts:
    """Count returning sections that are recognised within `SCORED_WITHIN_S` of their true start."""
    returning = recognised = new = false = 0
    names: dict[str, set[str]] = {}  # the estimated labels of each true label
    span_of = {id_: max(spans, key=lambda span: _overlap_s(span, s, e)) for id_, (s, e, _) in history.sections.items()}
    before: set[str] = set()
    for span in spans:
        section_ids = [id_ for id_, other in span_of.items() if other is span]
        if section_ids and span is not spans[0]:
            first = min(section_ids, key=lambda id_: history.sections[id_][0])
            estimates = [one for one in history.estimates.get(first, []) if one[0] <= span.start + SCORED_WITHIN_S]
            _, label, seen = estimates[-1] if estimates else (0.0, None, False)
            if span.label in before:
                returning += 1
                recognised += seen and label in names[span.label]
            else:
                new += 1
                false += seen
        names.setdefault(span.label, set()).update(history.sections[id_][2] for id_ in section_ids)
        before.add(span.label)
    return ReturnCounts(returning, recognised, new, false)


def _overlap_s(span: LabelledSpan, start: float, end: float) -> float:
    return max(0.0, min(span.end, end) - max(span.start, start))


def format_table(
    files: Sequence[tuple[AnnotatedFile, Floats]], settings: Settings, model: LabelModel, *, own: bool
) -> Iterator[str]:
    """Format one line for each clusterer."""
    yield (
        f"{'clusterer':14}{'pairwise F':>11}{'V':>7}{'recognised':>12}{'falsely':>9}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'KiB':>8}"
    )
    for clusterer in get_args(ClustererName):
        chosen = make_settings(settings.profile, clusterer=clusterer)
        rng = np.random.default_rng(0)
        figures, counts, durations_s, size = [], [], list[float](), 0
        for truth, vectors in files:
            spans = truth.segments
            places = detect_boundaries(vectors, chosen) if own else simulate_boundaries(spans, len(vectors), rng)
            history, tracker = label_sections(vectors, places, chosen, model, durations_s)
            figures.append(
                scores.score_labels(spans, [LabelledSpan(*section) for section in history.sections.values()])
            )
            counts.append(count_returns(spans, history))
            size = max(size, len(pickle.dumps(tracker)))
        pairwise, v = np.mean(figures, axis=0)
        total = [sum(getattr(one, name) for one in counts) for name in ("recognised", "returns", "false", "new")]
        p50, p99 = np.percentile(np.array(durations_s) * 1e3, [50, 99])
        yield (
            f"{clusterer:14}{pairwise:11.3f}{v:7.3f}{f'{total[0]} of {total[1]}':>12}{f'{total[2]} of {total[3]}':>9}"
            f"{p50:9.3f}{p99:9.3f}{size / 1024:8.0f}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--profile", choices=PROFILES, default="music")
    parser.add_argument("--own", action="store_true", help="the detector's boundaries instead of the true ones")
    asked = parser.parse_args()
    files = [(file, extract_texture(file.audio)) for folder in asked.folders for file in find_annotated_files(folder)]
    settings = make_settings(asked.profile)
    for line in format_table(files, settings, load_label_model(settings.profile), own=asked.own):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
