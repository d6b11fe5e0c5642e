"""All clusterers beside one another: how right their labels are, how long an update takes, how much they keep.

::

    python -m tools.comparison.clusterers mixes --profile dj
    python -m tools.comparison.clusterers songs --own

Every clusterer hears the texture of every annotated file. Boundaries are the true ones, misplaced a little and known
as late as the detector knows them; with `--own`, the detector's.
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
Boundaries: TypeAlias = list[tuple[int, int]]  # (step of the change, step at which it is known)

LOOKBACK_S = 30.0
DECISION_DELAY_S = 10.0
JUDGED_WITHIN_S = 15.0
_PLACEMENT_ERROR_S = 0.7


@dataclass(frozen=True, slots=True)
class ReturnCounts:
    """Of the sections that had been there before, how many were recognised in time; of the others, how many falsely."""

    returns: int = 0
    recognised: int = 0
    new: int = 0
    false: int = 0


@dataclass(slots=True)
class LabelHistory:
    """What was said of one file."""

    sections: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    estimates: dict[str, list[tuple[float, str | None, bool]]] = field(default_factory=dict)  # t, label, seen before

    def add_events(self, events: Iterable[Event], t: float) -> None:
        """Note what events say of sections at stream time t."""
        for event in events:
            match event.data:
                case BoundaryConfirmed(next=after):
                    self.estimates.setdefault(after.section_id, []).append((t, after.label, after.seen_before))
                case SectionUpdated() as fact:
                    self.estimates.setdefault(fact.section_id, []).append((t, fact.label, fact.seen_before))
                case SectionClosed() as fact:
                    self.sections[fact.section_id] = (fact.start, fact.end, fact.label or "?")
                case SectionRelabelled() as fact:
                    start, end, _ = self.sections[fact.section_id]
                    self.sections[fact.section_id] = (start, end, fact.label)


def label_sections(
    vectors: Floats, boundaries: Boundaries, settings: Settings, model: LabelModel, took_s: list[float] | None = None
) -> tuple[LabelHistory, SectionTracker]:
    """Label a file whose boundaries are given; took_s: gets the seconds each update took."""
    sections, heard = SectionTracker(settings, LOOKBACK_S, model, NamedSounds()), LabelHistory()
    due = {known: (number, step) for number, (step, known) in enumerate(boundaries, 1)}
    for step, vector in enumerate(vectors, 1):
        t = float(step_to_time(step))
        began = perf_counter()
        events = sections.push(vector)
        if step in due:
            number, at = due[step]
            change = BoundaryDecision("confirmed", number, at, 1.0, 0.5)
            events += sections.apply_decision(change, float(step_to_time(at)), t, 0.5, at_end=False)
        if took_s is not None:
            took_s.append(perf_counter() - began)
        heard.add_events(events, t)
    end = float(step_to_time(len(vectors)))
    heard.add_events(sections.close_section(end, "end", at_end=True), end)
    return heard, sections


def simulate_boundaries(spans: Sequence[LabelledSpan], steps: int, rng: np.random.Generator) -> Boundaries:
    """Where labelled spans meet, as the detector might have found them."""
    found: Boundaries = []
    for span in spans[1:]:
        at = max(
            span.start + float(rng.laplace(0.0, _PLACEMENT_ERROR_S)), (found[-1][0] + 4) * STEP_S if found else 2.0
        )
        step = round(at / STEP_S)
        known = max(step + round(DECISION_DELAY_S / STEP_S), found[-1][1] + 1 if found else 0)
        if known < steps:
            found.append((step, known))
    return found


def detect_boundaries(vectors: Floats, settings: Settings, model: BoundaryModel | None = None) -> Boundaries:
    """What the detector confirms, judged by the shipped model when none is given."""
    model = model or load_boundary_model(settings.profile)
    classifier, changes = BoundaryClassifier(model), BoundaryTracker(settings, model)
    found: Boundaries = []
    for step, vector in enumerate(vectors, 1):
        for change in changes.push(classifier.push(vector)):
            if change.state == "confirmed":
                found.append((change.step, max(step, found[-1][1] + 1 if found else 0)))
    return found


def count_returns(spans: Sequence[LabelledSpan], history: LabelHistory) -> ReturnCounts:
    """Judge what was said of whether a section had been there before, `SAID_WITHIN_S` after its true begin."""
    returning = recognised = new = false = 0
    names: dict[str, set[str]] = {}  # what each true label was called
    placed = {id_: max(spans, key=lambda span: _overlap_s(span, s, e)) for id_, (s, e, _) in history.sections.items()}
    before: set[str] = set()
    for span in spans:
        mine = [id_ for id_, other in placed.items() if other is span]
        if mine and span is not spans[0]:
            first = min(mine, key=lambda id_: history.sections[id_][0])
            said = [one for one in history.estimates.get(first, []) if one[0] <= span.start + JUDGED_WITHIN_S]
            _, label, seen = said[-1] if said else (0.0, None, False)
            if span.label in before:
                returning += 1
                recognised += seen and label in names[span.label]
            else:
                new += 1
                false += seen
        names.setdefault(span.label, set()).update(history.sections[id_][2] for id_ in mine)
        before.add(span.label)
    return ReturnCounts(returning, recognised, new, false)


def _overlap_s(span: LabelledSpan, start: float, end: float) -> float:
    return max(0.0, min(span.end, end) - max(span.start, start))


def format_table(
    files: Sequence[tuple[AnnotatedFile, Floats]], settings: Settings, model: LabelModel, *, own: bool
) -> Iterator[str]:
    """One line a clusterer."""
    yield (
        f"{'clusterer':14}{'pairwise F':>11}{'V':>7}{'recognised':>12}{'falsely':>9}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'KiB':>8}"
    )
    for name in get_args(ClustererName):
        chosen = make_settings(settings.profile, clusterer=name)
        rng = np.random.default_rng(0)
        figures, counts, took_s, size = [], [], list[float](), 0
        for truth, vectors in files:
            spans = truth.segments
            places = detect_boundaries(vectors, chosen) if own else simulate_boundaries(spans, len(vectors), rng)
            heard, sections = label_sections(vectors, places, chosen, model, took_s)
            figures.append(scores.score_labels(spans, [LabelledSpan(*section) for section in heard.sections.values()]))
            counts.append(count_returns(spans, heard))
            size = max(size, len(pickle.dumps(sections)))
        pairwise, v = np.mean(figures, axis=0)
        total = [sum(getattr(one, what) for one in counts) for what in ("recognised", "returns", "false", "new")]
        p50, p99 = np.percentile(np.array(took_s) * 1e3, [50, 99])
        yield (
            f"{name:14}{pairwise:11.3f}{v:7.3f}{f'{total[0]} of {total[1]}':>12}{f'{total[2]} of {total[3]}':>9}"
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
