"""`streamseg tune`: the judge of changes fitted to somebody's own annotated sound, and honestly compared.

Three steps, each tried in folds by file, so that nothing is scored by what was fitted to it:

- as it is: the model it starts from;
- fitted: its probabilities calibrated (Platt 1999: log-odds times a slope plus a shift, held near 1 and 0 where there
  is little to learn from) and new thresholds for when to be sure;
- grown: new trees for this sound alone, then fitted likewise. Only with hours enough, since a few tracks teach trees
  no more than themselves.

The simplest step wins that no other beats by more than `WORTH`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamseg.engine.changepoints import ChangePoints
from streamseg.errors import AskedWrongly
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import Annotated, TruthKind, annotated_files
from streamseg.evaluation.calibration import platt
from streamseg.evaluation.evaluate import Heard, TrackScore, score
from streamseg.evaluation.parallel import each
from streamseg.evaluation.policies import best_policies, decided, judged, outcome
from streamseg.evaluation.scores import Boundary
from streamseg.evaluation.tracks import Track, boundary_time, heard_time, texture_of
from streamseg.evaluation.train_changes import RECIPES, train
from streamseg.settings import Settings
from streamseg.weights import AS_JUDGED, SHIPPED, ChangeModel

Floats = NDArray[np.float64]
Step: TypeAlias = Literal["as it is", "fitted", "grown"]
Progress: TypeAlias = Callable[[int, int, str], None]

FEWEST_FILES, FEWEST_CHANGES = 2, 8
GROWN_FROM_HOURS, GROWN_FROM_FILES = 1.5, 10
WORTH = 0.005  # of F
_MOST_FOLDS = 5
_POLICIES = [(threshold, rise) for threshold in (0.15, 0.25, 0.35, 0.5, 0.65, 0.8) for rise in (0.0, 0.3, 0.6)]
_BARELY = 0.05  # said from this probability on, to be calibrated
_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Tried:
    """One step, scored in folds: a track's score comes from what was fitted to the other files only."""

    step: Step
    tracks: tuple[TrackScore, ...]

    @property
    def f(self) -> float:
        """Mean over tracks."""
        return float(np.mean([track.f for track in self.tracks]))

    def row(self) -> tuple[str, ...]:
        """Step, F with its 95 % interval, precision, recall, false alarms an hour, delay median and p90."""
        low, high = scores.bootstrap_interval([track.f for track in self.tracks])
        hours = sum(track.duration_s for track in self.tracks) / 3600
        alarms = sum(track.false_alarms_per_h * track.duration_s for track in self.tracks) / 3600 / hours
        delays = [delay for track in self.tracks for delay in track.delays_s]
        late = [f"{np.median(delays):.1f} s", f"{np.percentile(delays, 90):.1f} s"] if delays else ["none", "none"]
        precision, recall = (
            np.mean([getattr(track, part) for track in self.tracks]) for part in ("precision", "recall")
        )
        return (
            self.step,
            f"{self.f:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{precision:.3f}",
            f"{recall:.3f}",
            f"{alarms:.1f}",
            *late,
        )


@dataclass(frozen=True)
class Tuned:
    """What came of it: every step that was tried, the best, and its model, fitted to all files."""

    tried: tuple[Tried, ...]
    best: Step
    model: ChangeModel
    folds: int
    hours: float
    changes: int


def tune(
    folder: Path,
    settings: Settings,
    start: ChangeModel,
    *,
    truth: TruthKind = "auto",
    jobs: int = 1,
    progress: Progress = lambda done, total, name: None,  # noqa: ARG005  silent unless told
) -> Tuned:
    """Fit the judge to a folder of annotated sound.

    start: the model to begin with. jobs: processes at a time.
    Raises SourceNotFound when there is nothing to learn from, AskedWrongly when it is too little to be tried in folds.
    """
    files = annotated_files(folder, truth)
    changes = sum(_changes(file) for file in files)
    if len(files) < FEWEST_FILES or changes < FEWEST_CHANGES:
        raise AskedWrongly(
            f"{folder} has {len(files)} annotated files with {changes} changes; to tell whether tuning helps takes "
            f"{FEWEST_FILES} files and {FEWEST_CHANGES} changes: annotate more"
        )
    tracks = _listened(files, jobs, progress)
    folds = min(_MOST_FOLDS, len(files))
    held = [np.arange(len(files)) % folds == fold for fold in range(folds)]
    hours = sum(heard_time(len(track.vectors)) for track in tracks) / 3600

    testimony = _testimonies([(track, start) for track in tracks], jobs, progress, "judging")
    tried = [Tried("as it is", tuple(map(_scored(settings), tracks, testimony, [start] * len(tracks))))]
    tried.append(Tried("fitted", _in_folds(tracks, testimony, [start] * folds, held, settings, progress)))
    models = {"as it is": start}
    if hours >= GROWN_FROM_HOURS and len(files) >= GROWN_FROM_FILES:
        recipe = RECIPES[SHIPPED[settings.profile]]
        grown = []
        for fold, out in enumerate(held):
            progress(fold, folds + 1, "growing trees")
            grown.append(train([track for track, o in zip(tracks, out) if not o], start.classes, recipe))
        unseen = [grown[int(np.argmax([out[i] for out in held]))] for i in range(len(tracks))]
        regrown = _testimonies(list(zip(tracks, unseen)), jobs, progress, "judging by new trees")
        tried.append(Tried("grown", _in_folds(tracks, regrown, grown, held, settings, progress)))
    best = tried[0]
    for one in tried[1:]:
        if one.f > best.f + WORTH:
            best = one
    if best.step == "fitted":
        models["fitted"] = _fitted(tracks, testimony, start, settings)[0]
    elif best.step == "grown":
        progress(folds, folds + 1, "growing trees")
        models["grown"] = _fitted(tracks, regrown, train(tracks, start.classes, recipe), settings)[0]
    return Tuned(tuple(tried), best.step, models[best.step], folds, hours, changes)


def calibrated(model: ChangeModel, slope: float, shift: float) -> ChangeModel:
    """The same model, its log-odds times a slope plus a shift; what it dismisses at first glance it still dismisses."""
    glancing = int(model.first[int(model.glance_trees)]) if int(model.glance_trees) < len(model.first) else None
    children = np.concatenate([model.left[:glancing], model.right[:glancing]])
    times = np.full(len(model.value), slope)
    times[-1 - children[children < 0]] = 1.0  # the leaves of the first glance, which is evidence for the closer look
    prior = np.exp(slope * np.log(model.prior) + shift)
    return replace(model, value=times * model.value, prior=prior, spoken=AS_JUDGED)


def _fitted(
    tracks: list[Track], testimony: list[Floats], model: ChangeModel, settings: Settings
) -> tuple[ChangeModel, tuple[float, float]]:
    """The model calibrated and its policies chosen, by testimonies that are honest; and the calibration."""
    said: list[float] = []
    held: list[bool] = []
    for track, table in zip(tracks, testimony, strict=True):
        for t, probability in _said(table, model, settings):
            said.append(probability)
            held.append(_true(track.truth, t))
    slope, shift = platt(np.clip(np.array(said), 1e-6, 1 - 1e-6), np.array(held)) if said else (1.0, 0.0)
    mended = [_mended(table, slope, shift) for table in testimony]
    lookaheads = tuple(model.policies[:, 0]) if len(model.policies) > 1 else (2.0, 5.0, 10.0, 20.0)
    found = [
        outcome(tracks, mended, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _POLICIES
        for youngest in model.ages[::3]
    ]
    fitted = replace(calibrated(model, slope, shift), policies=best_policies(found, lookaheads))
    return fitted, (slope, shift)


def _in_folds(
    tracks: list[Track],
    testimony: list[Floats],
    models: list[ChangeModel],
    held: list[NDArray[np.bool_]],
    settings: Settings,
    progress: Progress,
) -> tuple[TrackScore, ...]:
    """Each track's score by what was fitted to the other folds. models: one a fold, which has not seen its tracks."""
    found: dict[int, TrackScore] = {}
    for fold, (out, model) in enumerate(zip(held, models, strict=True)):
        progress(fold, len(held), "fitting")
        seen = [i for i in range(len(tracks)) if not out[i]]
        fitted, (slope, shift) = _fitted([tracks[i] for i in seen], [testimony[i] for i in seen], model, settings)
        for i in np.flatnonzero(out):
            found[int(i)] = _scored(settings)(tracks[i], _mended(testimony[i], slope, shift), fitted)
    return tuple(found[i] for i in range(len(tracks)))


def _scored(settings: Settings) -> Callable[[Track, Floats, ChangeModel], TrackScore]:
    def scored(track: Track, table: Floats, model: ChangeModel) -> TrackScore:
        boundaries = tuple(Boundary(t, known) for t, known in decided(table, model, None, settings))
        return score(track.truth, Heard(heard_time(len(track.vectors)), boundaries, ()))

    return scored


def _said(table: Floats, model: ChangeModel, settings: Settings) -> Iterator[tuple[float, float]]:
    """(t, probability) of everything that would be said if it took next to nothing to say it."""
    changes = ChangePoints(
        msgspec.structs.replace(settings, provisional_probability=_BARELY), replace(model, spoken=AS_JUDGED)
    )
    for probabilities in table:
        for change in changes.push(probabilities):
            if change.state != "retracted":
                yield float(boundary_time(change.step)), change.probability


def _mended(table: Floats, slope: float, shift: float) -> Floats:
    with np.errstate(divide="ignore"):
        log_odds = np.log(table) - np.log1p(-table)
    mended: Floats = np.where(table > 0.0, 1.0 / (1.0 + np.exp(-slope * log_odds - shift)), 0.0)
    return mended


def _true(truth: Annotated, t: float) -> bool:
    if truth.kind == "transitions":
        return any(span.start - _MARGIN_S <= t <= span.end + _MARGIN_S for span in truth.spans)
    return any(abs(t - boundary) <= _MARGIN_S for boundary in scores.inner_boundaries(truth.spans))


def _changes(file: Annotated) -> int:
    return len(file.spans) - (file.kind != "transitions")


def _listened(files: list[Annotated], jobs: int, progress: Progress) -> list[Track]:
    vectors: dict[int, Floats] = {}
    for number, found in each(texture_of, [(file.audio,) for file in files], jobs):
        vectors[number] = found
        progress(len(vectors), len(files), f"listening: {files[number].audio.stem}")
    return [Track(file, vectors[number], file.audio.stem) for number, file in enumerate(files)]


def _testimonies(work: list[tuple[Track, ChangeModel]], jobs: int, progress: Progress, what: str) -> list[Floats]:
    tables: dict[int, Floats] = {}
    for number, table in each(judged, work, jobs):
        tables[number] = table
        progress(len(tables), len(work), what)
    return [tables[number] for number in range(len(work))]
