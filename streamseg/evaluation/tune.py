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

from streamseg.engine.boundaries.tracker import BoundaryTracker
from streamseg.engine.models.loader import SHIPPED_BOUNDARY_MODELS
from streamseg.engine.models.weights import IDENTITY_CALIBRATION, BoundaryModel
from streamseg.errors import UsageError
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import AnnotatedFile, TruthKind, find_annotated_files
from streamseg.evaluation.boundary_training import RECIPES, train_boundary_model
from streamseg.evaluation.calibration import fit_platt
from streamseg.evaluation.evaluate import TrackPredictions, TrackScore, score_track
from streamseg.evaluation.parallel import run_parallel
from streamseg.evaluation.scores import DetectedBoundary
from streamseg.evaluation.thresholds import choose_policies, confirmed_boundaries, predict_track, score_policy
from streamseg.evaluation.tracks import TrackTexture, extract_texture, step_end_time, step_to_time
from streamseg.settings import Settings

Floats = NDArray[np.float64]
TuningStep: TypeAlias = Literal["as it is", "fitted", "grown"]
ProgressCallback: TypeAlias = Callable[[int, int, str], None]

MIN_FILES, MIN_CHANGES = 2, 8
MIN_HOURS_FOR_TREES, MIN_FILES_FOR_TREES = 1.5, 10
MIN_GAIN = 0.005  # of F
_MOST_FOLDS = 5
_POLICIES = [(threshold, rise) for threshold in (0.15, 0.25, 0.35, 0.5, 0.65, 0.8) for rise in (0.0, 0.3, 0.6)]
_LOWEST_PROBABILITY = 0.05  # said from this probability on, to be calibrated
_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class StepScore:
    """One step, scored in folds: a track's score comes from what was fitted to the other files only."""

    step: TuningStep
    tracks: tuple[TrackScore, ...]

    @property
    def f(self) -> float:
        """Mean over tracks."""
        return float(np.mean([track.f for track in self.tracks]))

    def table_row(self) -> tuple[str, ...]:
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
class TuningResult:
    """What came of it: every step that was tried, the best, and its model, fitted to all files."""

    steps: tuple[StepScore, ...]
    best: TuningStep
    model: BoundaryModel
    folds: int
    hours: float
    changes: int


def tune_model(
    folder: Path,
    settings: Settings,
    start: BoundaryModel,
    *,
    truth: TruthKind = "auto",
    jobs: int = 1,
    progress: ProgressCallback = lambda done, total, name: None,  # noqa: ARG005  silent unless told
) -> TuningResult:
    """Fit the judge to a folder of annotated sound.

    start: the model to begin with. jobs: processes at a time.
    Raises SourceNotFound when there is nothing to learn from, AskedWrongly when it is too little to be tried in folds.
    """
    files = find_annotated_files(folder, truth)
    changes = sum(_count_changes(file) for file in files)
    if len(files) < MIN_FILES or changes < MIN_CHANGES:
        raise UsageError(
            f"{folder} has {len(files)} annotated files with {changes} changes; to tell whether tuning helps takes "
            f"{MIN_FILES} files and {MIN_CHANGES} changes: annotate more"
        )
    tracks = _extract_tracks(files, jobs, progress)
    folds = min(_MOST_FOLDS, len(files))
    held = [np.arange(len(files)) % folds == fold for fold in range(folds)]
    hours = sum(step_end_time(len(track.vectors)) for track in tracks) / 3600

    probabilities = _predict_tracks([(track, start) for track in tracks], jobs, progress, "judging")
    tried = [StepScore("as it is", tuple(map(_make_scorer(settings), tracks, probabilities, [start] * len(tracks))))]
    tried.append(StepScore("fitted", _cross_validate(tracks, probabilities, [start] * folds, held, settings, progress)))
    models = {"as it is": start}
    if hours >= MIN_HOURS_FOR_TREES and len(files) >= MIN_FILES_FOR_TREES:
        recipe = RECIPES[SHIPPED_BOUNDARY_MODELS[settings.profile]]
        grown = []
        for fold, out in enumerate(held):
            progress(fold, folds + 1, "growing trees")
            grown.append(train_boundary_model([track for track, o in zip(tracks, out) if not o], start.classes, recipe))
        unseen = [grown[int(np.argmax([out[i] for out in held]))] for i in range(len(tracks))]
        regrown = _predict_tracks(list(zip(tracks, unseen)), jobs, progress, "judging by new trees")
        tried.append(StepScore("grown", _cross_validate(tracks, regrown, grown, held, settings, progress)))
    best = tried[0]
    for one in tried[1:]:
        if one.f > best.f + MIN_GAIN:
            best = one
    if best.step == "fitted":
        models["fitted"] = _fit_step(tracks, probabilities, start, settings)[0]
    elif best.step == "grown":
        progress(folds, folds + 1, "growing trees")
        models["grown"] = _fit_step(tracks, regrown, train_boundary_model(tracks, start.classes, recipe), settings)[0]
    return TuningResult(tuple(tried), best.step, models[best.step], folds, hours, changes)


def calibrate_model(model: BoundaryModel, slope: float, shift: float) -> BoundaryModel:
    """The same model, its log-odds times a slope plus a shift; what it dismisses at first glance it still dismisses."""
    glancing = int(model.first[int(model.glance_trees)]) if int(model.glance_trees) < len(model.first) else None
    children = np.concatenate([model.left[:glancing], model.right[:glancing]])
    times = np.full(len(model.value), slope)
    times[-1 - children[children < 0]] = 1.0  # the leaves of the first glance, which is evidence for the closer look
    prior = np.exp(slope * np.log(model.prior) + shift)
    return replace(model, value=times * model.value, prior=prior, calibration=IDENTITY_CALIBRATION)


def _fit_step(
    tracks: list[TrackTexture], probabilities: list[Floats], model: BoundaryModel, settings: Settings
) -> tuple[BoundaryModel, tuple[float, float]]:
    """The model calibrated and its policies chosen, by testimonies that are honest; and the calibration."""
    said: list[float] = []
    held: list[bool] = []
    for track, table in zip(tracks, probabilities, strict=True):
        for t, probability in _all_predictions(table, model, settings):
            said.append(probability)
            held.append(_is_true_boundary(track.truth, t))
    slope, shift = fit_platt(np.clip(np.array(said), 1e-6, 1 - 1e-6), np.array(held)) if said else (1.0, 0.0)
    mended = [_calibrate_table(table, slope, shift) for table in probabilities]
    lookaheads = tuple(model.policies[:, 0]) if len(model.policies) > 1 else (2.0, 5.0, 10.0, 20.0)
    found = [
        score_policy(tracks, mended, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _POLICIES
        for youngest in model.ages[::3]
    ]
    fitted = replace(calibrate_model(model, slope, shift), policies=choose_policies(found, lookaheads))
    return fitted, (slope, shift)


def _cross_validate(
    tracks: list[TrackTexture],
    probabilities: list[Floats],
    models: list[BoundaryModel],
    test_masks: list[NDArray[np.bool_]],
    settings: Settings,
    progress: ProgressCallback,
) -> tuple[TrackScore, ...]:
    """Each track's score by what was fitted to the other folds. models: one a fold, which has not seen its tracks."""
    found: dict[int, TrackScore] = {}
    for fold, (out, model) in enumerate(zip(test_masks, models, strict=True)):
        progress(fold, len(test_masks), "fitting")
        seen = [i for i in range(len(tracks)) if not out[i]]
        fitted, (slope, shift) = _fit_step([tracks[i] for i in seen], [probabilities[i] for i in seen], model, settings)
        for i in np.flatnonzero(out):
            found[int(i)] = _make_scorer(settings)(tracks[i], _calibrate_table(probabilities[i], slope, shift), fitted)
    return tuple(found[i] for i in range(len(tracks)))


def _make_scorer(settings: Settings) -> Callable[[TrackTexture, Floats, BoundaryModel], TrackScore]:
    def score_table(track: TrackTexture, table: Floats, model: BoundaryModel) -> TrackScore:
        boundaries = tuple(
            DetectedBoundary(t, known) for t, known in confirmed_boundaries(table, model, None, settings)
        )
        return score_track(track.truth, TrackPredictions(step_end_time(len(track.vectors)), boundaries, ()))

    return score_table


def _all_predictions(table: Floats, model: BoundaryModel, settings: Settings) -> Iterator[tuple[float, float]]:
    """(t, probability) of everything that would be said if it took next to nothing to say it."""
    changes = BoundaryTracker(
        msgspec.structs.replace(settings, provisional_probability=_LOWEST_PROBABILITY),
        replace(model, calibration=IDENTITY_CALIBRATION),
    )
    for probabilities in table:
        for change in changes.push(probabilities):
            if change.state != "retracted":
                yield float(step_to_time(change.step)), change.probability


def _calibrate_table(table: Floats, slope: float, shift: float) -> Floats:
    with np.errstate(divide="ignore"):
        log_odds = np.log(table) - np.log1p(-table)
    mended: Floats = np.where(table > 0.0, 1.0 / (1.0 + np.exp(-slope * log_odds - shift)), 0.0)
    return mended


def _is_true_boundary(truth: AnnotatedFile, t: float) -> bool:
    if truth.kind == "transitions":
        return any(span.start - _MARGIN_S <= t <= span.end + _MARGIN_S for span in truth.spans)
    return any(abs(t - boundary) <= _MARGIN_S for boundary in scores.inner_boundaries(truth.spans))


def _count_changes(file: AnnotatedFile) -> int:
    return len(file.spans) - (file.kind != "transitions")


def _extract_tracks(files: list[AnnotatedFile], jobs: int, progress: ProgressCallback) -> list[TrackTexture]:
    vectors: dict[int, Floats] = {}
    for number, found in run_parallel(extract_texture, [(file.audio,) for file in files], jobs):
        vectors[number] = found
        progress(len(vectors), len(files), f"listening: {files[number].audio.stem}")
    return [TrackTexture(file, vectors[number], file.audio.stem) for number, file in enumerate(files)]


def _predict_tracks(
    work: list[tuple[TrackTexture, BoundaryModel]], jobs: int, progress: ProgressCallback, what: str
) -> list[Floats]:
    tables: dict[int, Floats] = {}
    for number, table in run_parallel(predict_track, work, jobs):
        tables[number] = table
        progress(len(tables), len(work), what)
    return [tables[number] for number in range(len(work))]
