"""All clusterers beside one another: how right their labels are, how long an update takes, how much they keep.

::

    python -m streamseg.evaluation.clusterers mixes --profile dj
    python -m streamseg.evaluation.clusterers songs --own

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

from streamseg.engine.changepoints import Change, ChangePoints
from streamseg.engine.judge import Judge
from streamseg.engine.sections import Sections
from streamseg.engine.texture import STEP_S
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import Annotated, Span, annotated_files
from streamseg.evaluation.tracks import boundary_time, texture_of
from streamseg.events import BoundaryConfirmed, Event, SectionClosed, SectionRelabelled, SectionUpdated
from streamseg.memory import Memory
from streamseg.settings import PROFILES, ClustererName, Settings, settings_for
from streamseg.weights import ChangeModel, LabelModel, shipped_label_model, shipped_model

Floats = NDArray[np.float64]
Boundaries: TypeAlias = list[tuple[int, int]]  # (step of the change, step at which it is known)

LOOKBACK_S = 30.0
KNOWN_AFTER_S = 10.0
SAID_WITHIN_S = 15.0
_MISPLACED_S = 0.7


@dataclass(frozen=True, slots=True)
class Returned:
    """Of the sections that had been there before, how many were recognised in time; of the others, how many falsely."""

    returning: int = 0
    recognised: int = 0
    new: int = 0
    false: int = 0


@dataclass(slots=True)
class Heard:
    """What was said of one file."""

    sections: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    said: dict[str, list[tuple[float, str | None, bool]]] = field(default_factory=dict)  # t, label, seen before

    def take(self, events: Iterable[Event], t: float) -> None:
        """Note what events say of sections at stream time t."""
        for event in events:
            match event.data:
                case BoundaryConfirmed(next=after):
                    self.said.setdefault(after.section_id, []).append((t, after.label, after.seen_before))
                case SectionUpdated() as fact:
                    self.said.setdefault(fact.section_id, []).append((t, fact.label, fact.seen_before))
                case SectionClosed() as fact:
                    self.sections[fact.section_id] = (fact.start, fact.end, fact.label or "?")
                case SectionRelabelled() as fact:
                    start, end, _ = self.sections[fact.section_id]
                    self.sections[fact.section_id] = (start, end, fact.label)


def hear(
    vectors: Floats, boundaries: Boundaries, settings: Settings, model: LabelModel, took_s: list[float] | None = None
) -> tuple[Heard, Sections]:
    """Label a file whose boundaries are given; took_s: gets the seconds each update took."""
    sections, heard = Sections(settings, LOOKBACK_S, model, Memory()), Heard()
    due = {known: (number, step) for number, (step, known) in enumerate(boundaries, 1)}
    for step, vector in enumerate(vectors, 1):
        t = float(boundary_time(step))
        began = perf_counter()
        events = sections.push(vector)
        if step in due:
            number, at = due[step]
            change = Change("confirmed", number, at, 1.0, 0.5)
            events += sections.say(change, float(boundary_time(at)), t, 0.5, at_end=False)
        if took_s is not None:
            took_s.append(perf_counter() - began)
        heard.take(events, t)
    end = float(boundary_time(len(vectors)))
    heard.take(sections.close(end, "end", at_end=True), end)
    return heard, sections


def true_boundaries(spans: Sequence[Span], steps: int, rng: np.random.Generator) -> Boundaries:
    """Where labelled spans meet, as the detector might have found them."""
    found: Boundaries = []
    for span in spans[1:]:
        at = max(span.start + float(rng.laplace(0.0, _MISPLACED_S)), (found[-1][0] + 4) * STEP_S if found else 2.0)
        step = round(at / STEP_S)
        known = max(step + round(KNOWN_AFTER_S / STEP_S), found[-1][1] + 1 if found else 0)
        if known < steps:
            found.append((step, known))
    return found


def own_boundaries(vectors: Floats, settings: Settings, model: ChangeModel | None = None) -> Boundaries:
    """What the detector confirms, judged by the shipped model when none is given."""
    model = model or shipped_model(settings.profile)
    judge, changes = Judge(model), ChangePoints(settings, model)
    found: Boundaries = []
    for step, vector in enumerate(vectors, 1):
        for change in changes.push(judge.push(vector)):
            if change.state == "confirmed":
                found.append((change.step, max(step, found[-1][1] + 1 if found else 0)))
    return found


def returned(spans: Sequence[Span], heard: Heard) -> Returned:
    """Judge what was said of whether a section had been there before, `SAID_WITHIN_S` after its true begin."""
    returning = recognised = new = false = 0
    names: dict[str, set[str]] = {}  # what each true label was called
    placed = {id_: max(spans, key=lambda span: _shared(span, s, e)) for id_, (s, e, _) in heard.sections.items()}
    before: set[str] = set()
    for span in spans:
        mine = [id_ for id_, other in placed.items() if other is span]
        if mine and span is not spans[0]:
            first = min(mine, key=lambda id_: heard.sections[id_][0])
            said = [one for one in heard.said.get(first, []) if one[0] <= span.start + SAID_WITHIN_S]
            _, label, seen = said[-1] if said else (0.0, None, False)
            if span.label in before:
                returning += 1
                recognised += seen and label in names[span.label]
            else:
                new += 1
                false += seen
        names.setdefault(span.label, set()).update(heard.sections[id_][2] for id_ in mine)
        before.add(span.label)
    return Returned(returning, recognised, new, false)


def _shared(span: Span, start: float, end: float) -> float:
    return max(0.0, min(span.end, end) - max(span.start, start))


def table(
    files: Sequence[tuple[Annotated, Floats]], settings: Settings, model: LabelModel, *, own: bool
) -> Iterator[str]:
    """One line a clusterer."""
    yield (
        f"{'clusterer':14}{'pairwise F':>11}{'V':>7}{'recognised':>12}{'falsely':>9}"
        f"{'p50 ms':>9}{'p99 ms':>9}{'KiB':>8}"
    )
    for name in get_args(ClustererName):
        chosen = settings_for(settings.profile, clusterer=name)
        rng = np.random.default_rng(0)
        figures, counts, took_s, size = [], [], list[float](), 0
        for truth, vectors in files:
            spans = truth.segments
            places = own_boundaries(vectors, chosen) if own else true_boundaries(spans, len(vectors), rng)
            heard, sections = hear(vectors, places, chosen, model, took_s)
            figures.append(scores.labels(spans, [Span(*section) for section in heard.sections.values()]))
            counts.append(returned(spans, heard))
            size = max(size, len(pickle.dumps(sections)))
        pairwise, v = np.mean(figures, axis=0)
        total = [sum(getattr(one, what) for one in counts) for what in ("recognised", "returning", "false", "new")]
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
    files = [(file, texture_of(file.audio)) for folder in asked.folders for file in annotated_files(folder)]
    settings = settings_for(asked.profile)
    for line in table(files, settings, shipped_label_model(settings.profile), own=asked.own):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
