"""Fits the boundary model to a user's annotated sound and cross-validates the gain, for `streamseg tune`.

Three steps are scored in folds by file, so that no file is scored by a model that was fitted to it:

- as it is: the initial model;
- fitted: its probabilities calibrated (Platt 1999, with a ridge towards the identity) and its policies chosen anew;
- grown: new trees for this sound alone, then fitted likewise. Only with enough hours, since trees overfit a few tracks.

The simplest step is chosen that no other step exceeds by more than `MIN_GAIN`.
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
from streamseg.evaluation.annotations import (
    AnnotatedFile,
    TruthKind,
    check_annotation_within_sound,
    find_annotated_files,
)
from streamseg.evaluation.boundary_training import RECIPES, train_boundary_model
from streamseg.evaluation.calibration import PlattScaling, fit_platt_scaling
from streamseg.evaluation.evaluate import TrackPredictions, TrackScore, score_track
from streamseg.evaluation.parallel import run_parallel
from streamseg.evaluation.thresholds import (
    choose_policies,
    compute_boundary_probabilities,
    confirm_boundaries,
    score_policy,
)
from streamseg.evaluation.tracks import TrackTexture, extract_texture, step_to_time_without_gaps, time_after_steps
from streamseg.settings import Settings

Floats = NDArray[np.float64]
TuningStep: TypeAlias = Literal["as it is", "fitted", "grown"]
ProgressCallback: TypeAlias = Callable[[int, int, str], None]

MIN_FILES, MIN_CHANGES = 2, 8
MIN_HOURS_FOR_TREES, MIN_FILES_FOR_TREES = 1.5, 10
MIN_GAIN = 0.005  # of F
_MAX_FOLDS = 5
_POLICIES = [(threshold, rise) for threshold in (0.15, 0.25, 0.35, 0.5, 0.65, 0.8) for rise in (0.0, 0.3, 0.6)]
_LOWEST_PROBABILITY = 0.05  # of the predictions to calibrate on
_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class TuningStepScore:
    """The cross-validated scores of one tuning step: the model "as it is", "fitted", or "grown" (with new trees).

    Each track is predicted by a model fitted to other files.
    """

    step: TuningStep
    tracks: tuple[TrackScore, ...]

    @property
    def mean_f_measure(self) -> float:
        """The mean over tracks of the F-measure of boundaries at a tolerance of 3 s."""
        return float(np.mean([track.f for track in self.tracks]))

    def table_row(self) -> tuple[str, ...]:
        """Return a table row: step, F, 95 % interval of F, precision, recall, false alarms per hour, delays.

        The delays from boundary to decision: median and 90th percentile.
        """
        low, high = scores.bootstrap_interval([track.f for track in self.tracks])
        hours = sum(track.duration_s for track in self.tracks) / 3600
        alarms = sum(track.false_alarms_per_h * track.duration_s for track in self.tracks) / 3600 / hours
        delays = [delay for track in self.tracks for delay in track.delays_s]
        median_and_p90 = (
            [f"{np.median(delays):.1f} s", f"{np.percentile(delays, 90):.1f} s"] if delays else ["none", "none"]
        )
        precision = np.mean([track.precision for track in self.tracks])
        recall = np.mean([track.recall for track in self.tracks])
        return (
            self.step,
            f"{self.mean_f_measure:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{precision:.3f}",
            f"{recall:.3f}",
            f"{alarms:.1f}",
            *median_and_p90,
        )


@dataclass(frozen=True)
class TuningResult:
    """The scores of all tuning steps, the best step, and the model of that step, fitted to all files.

    hours: of sound. changes: annotated boundaries.
    """

    steps: tuple[TuningStepScore, ...]
    best: TuningStep
    model: BoundaryModel
    folds: int
    hours: float
    changes: int


def tune_model(
    folder: Path,
    settings: Settings,
    initial_model: BoundaryModel,
    *,
    truth: TruthKind = "auto",
    jobs: int = 1,
    progress: ProgressCallback = lambda number, total, name: None,  # noqa: ARG005  no report by default
) -> TuningResult:
    """Fit a boundary model to a folder of annotated sound; return the best model and its gain by cross-validation.

    initial_model: the model that is fitted. truth: the kind of annotation, see `find_annotated_files`. jobs: number of
    processes. progress: called with (parts done, parts in all, name of the part).
    Raises SourceNotFoundError when the folder has no annotated sound, UsageError when it has too little to
    cross-validate or an annotation makes no sense.
    """
    files = find_annotated_files(folder, truth)
    changes = sum(_count_changes(file) for file in files)
    if len(files) < MIN_FILES or changes < MIN_CHANGES:
        raise UsageError(
            f"to tell whether tuning helps takes {MIN_FILES} annotated files with {MIN_CHANGES} changes; {folder} has "
            f"{len(files)} with {changes}: annotate more"
        )
    tracks = _extract_tracks(files, jobs, progress)
    folds = min(_MAX_FOLDS, len(files))
    test_masks = [np.arange(len(files)) % folds == fold for fold in range(folds)]
    hours = sum(time_after_steps(len(track.vectors)) for track in tracks) / 3600

    probabilities = _predict_tracks([(track, initial_model) for track in tracks], jobs, progress, "predicting")
    scorer = _make_scorer(settings)
    steps = [
        TuningStepScore("as it is", tuple(map(scorer, tracks, probabilities, [initial_model] * len(tracks)))),
        TuningStepScore(
            "fitted", _cross_validate(tracks, probabilities, [initial_model] * folds, test_masks, settings, progress)
        ),
    ]
    if hours >= MIN_HOURS_FOR_TREES and len(files) >= MIN_FILES_FOR_TREES:
        recipe = RECIPES[SHIPPED_BOUNDARY_MODELS[settings.profile]]
        fold_models = []
        for fold, mask in enumerate(test_masks):
            progress(fold, folds + 1, "training trees")
            train = [track for track, is_test in zip(tracks, mask) if not is_test]
            fold_models.append(train_boundary_model(train, initial_model.classes, recipe))
        # Fold k tests the files k, k + folds, …
        work = [(track, fold_models[i % folds]) for i, track in enumerate(tracks)]
        grown_probabilities = _predict_tracks(work, jobs, progress, "predicting with new trees")
        grown_scores = _cross_validate(tracks, grown_probabilities, fold_models, test_masks, settings, progress)
        steps.append(TuningStepScore("grown", grown_scores))
    best = steps[0]
    for step in steps[1:]:
        if step.mean_f_measure > best.mean_f_measure + MIN_GAIN:
            best = step
    model = initial_model
    if best.step == "fitted":
        model = _fit_step(tracks, probabilities, initial_model, settings)[0]
    elif best.step == "grown":
        progress(folds, folds + 1, "training trees")
        model = train_boundary_model(tracks, initial_model.classes, recipe)
        model = _fit_step(tracks, grown_probabilities, model, settings)[0]
    return TuningResult(tuple(steps), best.step, model, folds, hours, changes)


def calibrate_model(model: BoundaryModel, slope: float, shift: float) -> BoundaryModel:
    """Return a copy of the model in which predicted log-odds are multiplied by `slope`, then increased by `shift`.

    The glance trees reject the same candidates as before.
    """
    n_glance = int(model.glance_trees)
    glance_nodes = int(model.first[n_glance]) if n_glance < len(model.first) else None
    children = np.concatenate([model.left[:glance_nodes], model.right[:glance_nodes]])
    factors = np.full(len(model.value), slope)
    factors[-1 - children[children < 0]] = 1.0  # leaves of the glance trees, whose sum is a feature of the close look
    prior = np.exp(slope * np.log(model.prior) + shift)
    return replace(model, value=factors * model.value, prior=prior, calibration=IDENTITY_CALIBRATION)


def _fit_step(
    tracks: list[TrackTexture], probabilities: list[Floats], model: BoundaryModel, settings: Settings
) -> tuple[BoundaryModel, PlattScaling]:
    """Calibrate the model and choose its policies; return the new model and the calibration.

    probabilities: of each track, predicted by a model that was not trained on it.
    """
    predictions: list[float] = []
    outcomes: list[bool] = []
    for track, table in zip(tracks, probabilities, strict=True):
        for t, probability in _all_predictions(table, model, settings):
            predictions.append(probability)
            outcomes.append(_is_true_boundary(track.truth, t))
    scaling = PlattScaling(1.0, 0.0)
    if predictions:
        scaling = fit_platt_scaling(np.clip(np.array(predictions), 1e-6, 1 - 1e-6), np.array(outcomes))
    calibrated_tables = [_calibrate_table(table, *scaling) for table in probabilities]
    lookaheads = tuple(model.policies[:, 0]) if len(model.policies) > 1 else (2.0, 5.0, 10.0, 20.0)
    policy_scores = [
        score_policy(tracks, calibrated_tables, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _POLICIES
        for youngest in model.ages[::3]
    ]
    fitted_model = replace(calibrate_model(model, *scaling), policies=choose_policies(policy_scores, lookaheads))
    return fitted_model, scaling


def _cross_validate(
    tracks: list[TrackTexture],
    probabilities: list[Floats],
    models: list[BoundaryModel],
    test_masks: list[NDArray[np.bool_]],
    settings: Settings,
    progress: ProgressCallback,
) -> tuple[TrackScore, ...]:
    """Score each track by a model that was fitted to the other folds; models: one for each fold."""
    scorer = _make_scorer(settings)
    track_scores: dict[int, TrackScore] = {}
    for fold, (mask, model) in enumerate(zip(test_masks, models, strict=True)):
        progress(fold, len(test_masks), "fitting")
        train = np.flatnonzero(~mask)
        fitted_model, scaling = _fit_step(
            [tracks[i] for i in train], [probabilities[i] for i in train], model, settings
        )
        for i in np.flatnonzero(mask):
            track_scores[int(i)] = scorer(tracks[i], _calibrate_table(probabilities[i], *scaling), fitted_model)
    return tuple(track_scores[i] for i in range(len(tracks)))


def _make_scorer(settings: Settings) -> Callable[[TrackTexture, Floats, BoundaryModel], TrackScore]:
    def score_table(track: TrackTexture, table: Floats, model: BoundaryModel) -> TrackScore:
        boundaries = tuple(confirm_boundaries(table, model, None, settings))
        return score_track(track.truth, TrackPredictions(time_after_steps(len(track.vectors)), boundaries, ()))

    return score_table


def _all_predictions(table: Floats, model: BoundaryModel, settings: Settings) -> Iterator[tuple[float, float]]:
    """Yield (t, probability) of the boundaries that are predicted with a very low threshold, without calibration."""
    tracker = BoundaryTracker(
        msgspec.structs.replace(settings, provisional_probability=_LOWEST_PROBABILITY),
        replace(model, calibration=IDENTITY_CALIBRATION),
    )
    for probabilities in table:
        for decision in tracker.push(probabilities):
            if decision.state != "retracted":
                yield float(step_to_time_without_gaps(decision.step)), decision.probability


def _calibrate_table(table: Floats, slope: float, shift: float) -> Floats:
    with np.errstate(divide="ignore"):
        log_odds = np.log(table) - np.log1p(-table)
    new_table: Floats = np.where(table > 0.0, 1.0 / (1.0 + np.exp(-slope * log_odds - shift)), 0.0)
    return new_table


def _is_true_boundary(truth: AnnotatedFile, t: float) -> bool:
    if truth.kind == "transitions":
        return any(span.start - _MARGIN_S <= t <= span.end + _MARGIN_S for span in truth.spans)
    return any(abs(t - boundary) <= _MARGIN_S for boundary in scores.inner_boundaries(truth.spans))


def _count_changes(file: AnnotatedFile) -> int:
    return len(file.spans) - (file.kind != "transitions")


def _extract_tracks(files: list[AnnotatedFile], jobs: int, progress: ProgressCallback) -> list[TrackTexture]:
    vectors: dict[int, Floats] = {}
    for number, texture in run_parallel(extract_texture, [(file.audio,) for file in files], jobs):
        check_annotation_within_sound(files[number], time_after_steps(len(texture)))
        vectors[number] = texture
        progress(len(vectors), len(files), f"extracting features: {files[number].audio.stem}")
    return [TrackTexture(file, vectors[number], file.audio.stem) for number, file in enumerate(files)]


def _predict_tracks(
    work: list[tuple[TrackTexture, BoundaryModel]], jobs: int, progress: ProgressCallback, stage: str
) -> list[Floats]:
    tables: dict[int, Floats] = {}
    for number, table in run_parallel(compute_boundary_probabilities, work, jobs):
        tables[number] = table
        progress(len(tables), len(work), stage)
    return [tables[number] for number in range(len(work))]
