"""Trees trained on textures whose changes are known: they find those of tracks that they never met."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.engine.boundaries.candidates import CandidateScorer
from streamseg.engine.features.texture import TEXTURE_DIMS, VECTOR_DIMS
from streamseg.engine.models.loader import load_boundary_model
from streamseg.evaluation import tune
from streamseg.evaluation.annotations import AnnotatedFile, LabelledSpan
from streamseg.evaluation.boundary_training import (
    TrainingExamples,
    TrainingRecipe,
    fit_projection,
    fit_trees,
    flatten_trees,
    make_boundary_targets,
    make_untrained_model,
    train_boundary_model,
    with_glance_trees_only,
)
from streamseg.evaluation.scores import score_detection
from streamseg.evaluation.thresholds import compute_boundary_probabilities, confirm_boundaries
from streamseg.evaluation.tracks import TrackTexture, step_to_time_without_gaps
from streamseg.settings import Settings

REJECTION_PENALTY = 30.0  # the engine takes it from the log-odds of candidates that the glance trees reject
RECIPE = TrainingRecipe(8, 1, (2, 4, 8), 5, 6, 2.0, 1.0, trees=30, leaves=4)
SECTION_S = (20.0, 14.0, 26.0, 17.0, 23.0)


def make_track(seed: int) -> TrackTexture:
    """Make a track of five sections, "a" to "e", each with a texture of its own that no other track has."""
    rng = np.random.default_rng(seed)
    lengths_s = rng.permutation(SECTION_S)
    starts_s = np.concatenate([[0.0], np.cumsum(lengths_s)])
    at_s = step_to_time_without_gaps(np.arange(1000))
    at_s = at_s[at_s < starts_s[-1]]
    section = np.searchsorted(starts_s, at_s, side="right") - 1
    vectors = rng.normal(scale=0.3, size=(len(at_s), VECTOR_DIMS))
    vectors[:, :TEXTURE_DIMS] += rng.normal(size=(len(SECTION_S), TEXTURE_DIMS))[np.clip(section, 0, 4)]
    spans = tuple(
        LabelledSpan(float(start), float(end), label) for start, end, label in zip(starts_s, starts_s[1:], "abcde")
    )
    return TrackTexture(AnnotatedFile(Path(f"{seed}.wav"), "sections", spans, spans), vectors, str(seed))


@pytest.fixture(scope="module")
def tracks() -> list[TrackTexture]:
    return [make_track(seed) for seed in range(10)]


@pytest.fixture(scope="module")
def classes():
    return load_boundary_model("broadcast").classes


def test_changes_of_tracks_left_out_of_training_are_found(tracks, classes):
    model = train_boundary_model(tracks, classes, RECIPE)
    assert len(model.first) == 40 + RECIPE.trees
    for seed in (100, 101, 102):
        track = make_track(seed)
        table = compute_boundary_probabilities(track, model)
        found = confirm_boundaries(table, model, (0.0, 0.5, 0.0, 4.0), Settings(profile="broadcast"))
        truth = [span.start for span in track.truth.spans[1:]]
        assert score_detection(truth, [boundary.t for boundary in found], 3.0).f == 1.0


def test_labels_that_a_fold_is_tested_on_do_not_change_what_is_trained(tracks, classes):
    """The sections "c" differ between the two lessons; with them left out, the models are the same."""

    def with_other_c(track: TrackTexture) -> TrackTexture:
        vectors = track.vectors.copy()
        (c,) = (span for span in track.truth.spans if span.label == "c")
        at_s = step_to_time_without_gaps(np.arange(len(vectors)))
        vectors[(at_s > c.start) & (at_s < c.end)] += 1.0
        return TrackTexture(track.truth, vectors, track.source)

    others = [with_other_c(track) for track in tracks]
    excluded = frozenset("c")
    same = fit_projection(tracks, RECIPE, excluded)
    np.testing.assert_allclose(fit_projection(others, RECIPE, excluded), same, rtol=1e-6)
    assert not np.allclose(fit_projection(others, RECIPE), fit_projection(tracks, RECIPE), rtol=1e-6)


def test_targets_are_1_at_a_boundary_and_unused_around_it(tracks):
    track = tracks[0]
    steps = np.arange(len(track.vectors))
    at_s = step_to_time_without_gaps(steps)
    boundaries = np.array([span.start for span in track.truth.spans[1:]])
    distance_s = np.abs(at_s[:, None] - boundaries).min(axis=1)
    targets = make_boundary_targets(track, steps, RECIPE)
    inner = (at_s > 1.5) & (at_s < track.truth.spans[-1].end - 1.5)
    np.testing.assert_array_equal(targets == 1, (distance_s <= 0.6) & inner)
    np.testing.assert_array_equal(targets == 0, (distance_s >= RECIPE.margin_s) & inner)

    (c,) = (span for span in track.truth.spans if span.label == "c")
    without_c = make_boundary_targets(track, steps, RECIPE, frozenset("c"))
    assert np.all(without_c[(at_s > c.start - 2.0) & (at_s < c.end - 0.5)] == -1)
    assert np.count_nonzero(without_c == 1) < np.count_nonzero(targets == 1)


def test_the_targets_of_a_transition_are_its_middle(tracks):
    transition = LabelledSpan(30.0, 40.0, "mix")
    truth = AnnotatedFile(Path("mix.wav"), "transitions", (transition,), ())
    at_s = step_to_time_without_gaps(np.arange(len(tracks[0].vectors)))
    targets = make_boundary_targets(TrackTexture(truth, tracks[0].vectors, "mix"), np.arange(len(at_s)), RECIPE)
    np.testing.assert_array_equal(targets == 1, np.abs(at_s - 35.0) <= 3.0)
    np.testing.assert_array_equal(targets == 0, (at_s <= 28.0) | (at_s >= 42.0))


def test_of_a_mix_without_annotated_segments_the_parts_between_transitions_are_told_apart(tracks):
    def as_mix(track: TrackTexture) -> TrackTexture:
        changes = tuple(LabelledSpan(span.start, span.start, "mix") for span in track.truth.spans[1:])
        return TrackTexture(AnnotatedFile(track.truth.audio, "transitions", changes, ()), track.vectors, track.source)

    mixes = [as_mix(track) for track in tracks]
    ours, annotated = fit_projection(mixes, RECIPE), fit_projection(tracks, RECIPE)
    # The signs of the directions are free. An annotation of sections ends a little before the track does.
    ours, annotated = ours @ ours.T, annotated @ annotated.T
    assert np.linalg.norm(ours - annotated) < 0.1 * np.linalg.norm(annotated)


def test_the_engine_adds_the_trees_up_as_lightgbm_does(tracks, classes):
    """The reference is the program that grew the trees."""
    model = make_untrained_model(RECIPE, fit_projection(tracks, RECIPE), classes)
    scorer = CandidateScorer(model)
    rows = []
    for vector in tracks[0].vectors:
        scorer.push(vector)
        rows.append(scorer.features[:, : scorer.n_glance_features].astype(np.float32))
    features = np.concatenate(rows[20:])
    targets = (features[:, 0] > np.median(features[:, 0])).astype(np.int8)
    booster = fit_trees([TrainingExamples(features, targets)], [1.0], 5, 4, features.shape[1])
    assert len(flatten_trees([booster, booster])["first"]) == 10

    ours = CandidateScorer(with_glance_trees_only(model, booster, gate=np.inf))
    for step, vector in enumerate(tracks[0].vectors):
        log_odds = ours.push(vector)
        if step > 20:  # from here on there is a candidate of each age
            theirs = booster.predict(ours.features[:, : scorer.n_glance_features].astype(np.float32), raw_score=True)
            np.testing.assert_allclose(log_odds + REJECTION_PENALTY, theirs, rtol=1e-9)


def test_tuning_grows_trees_where_there_is_sound_enough(monkeypatch, tracks, tmp_path):
    tracks = tracks[:6]
    files = [track.truth for track in tracks]
    monkeypatch.setattr(tune, "find_annotated_files", lambda folder, truth: files)
    monkeypatch.setattr(tune, "_extract_tracks", lambda files, jobs, progress: tracks)
    monkeypatch.setattr(tune, "MIN_HOURS_FOR_TREES", 0.1)
    monkeypatch.setattr(tune, "MIN_FILES_FOR_TREES", 6)
    monkeypatch.setattr(tune, "_POLICIES", [(0.5, 0.0)])
    monkeypatch.setitem(tune.RECIPES, "programmes", RECIPE)
    stages = []
    result = tune.tune_model(
        tmp_path,
        Settings(profile="broadcast"),
        replace(load_boundary_model("broadcast"), policies=np.array([[0.0, 0.999, 0.0, 28.0]])),
        progress=lambda number, total, name: stages.append(name),
    )
    assert [step.step for step in result.steps] == ["as it is", "fitted", "grown"]
    assert list(dict.fromkeys(stages)) == ["predicting", "fitting", "training trees", "predicting with new trees"]
    as_it_is, fitted, grown = (step.mean_f_measure for step in result.steps)
    assert as_it_is < fitted < grown
    assert result.best == "grown"
    assert len(result.model.first) == 40 + RECIPE.trees
    np.testing.assert_array_equal(result.model.ages, RECIPE.ages)
