"""Trains the boundary classifier: projection and boosted trees. The engine computes the candidate features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.candidates import CandidateScorer
from streamseg.engine.features.texture import HOP_FRAMES, TEXTURE_DIMS
from streamseg.engine.models.weights import BoundaryModel
from streamseg.evaluation.discriminant import fit_discriminant
from streamseg.evaluation.tracks import TrackTexture, step_to_time_without_gaps
from streamseg.settings import ENGINE_RATE, HOP

Floats = NDArray[np.float64]

_NEGATIVE_SHARE = 0.15  # of the negatives, of which there are about a hundred for each positive
CLOSE_LOOK_NEGATIVE_SHARE = 0.5  # of the negatives that the glance trees pass on
_GLANCE_TREES, _GLANCE_LEAVES = 40, 8
_REJECTION_FLOOR = -20.0  # log-odds; a candidate that the glance trees reject has less
_FADE_S = 10.0


@dataclass(frozen=True, slots=True)
class TrainingExamples:
    """Features and targets of boundary candidates, on which trees are trained.

    features: shape (candidates, width). targets: shape (candidates,), 1 for a boundary and 0 for none.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Training parameters of a boundary model for one kind of material: songs, mixes or programmes.

    projection_dims: dimensions of the projection. smoothing: vectors averaged before the projection is fitted.
    ages: texture vectors after which a candidate is classified. neighbourhood, min_distance: see `BoundaryModel`.
    margin_s: a place this near to a boundary is neither a positive nor a negative. edge_s: vectors this near to the
    ends of a span do not train the projection. trees, leaves: of the close look. close_look_share: share of the
    negatives that the glance trees pass on.
    """

    projection_dims: int
    smoothing: int
    ages: tuple[int, ...]
    neighbourhood: int
    min_distance: int
    margin_s: float
    edge_s: float
    trees: int = 250
    leaves: int = 12
    close_look_share: float = 0.12


RECIPES = {
    "songs": TrainingRecipe(12, 8, (3, 4, 6, 8, 10, 13, 16, 20, 26, 34), 8, 8, 1.5, 2.0, 250, 16, 0.16),
    "mixes": TrainingRecipe(24, 1, (3, 4, 6, 8, 10, 13, 16, 20, 28, 40), 8, 16, 3.0, 9.0),
    "programmes": TrainingRecipe(16, 1, (1, 2, 3, 4, 5, 6, 8, 10, 14, 20), 5, 6, 2.0, 1.0),
}


def fit_projection(
    tracks: list[TrackTexture], recipe: TrainingRecipe, excluded_labels: frozenset[str] = frozenset()
) -> Floats:
    """Fit a projection that brings texture vectors of one label together and separates those of different labels.

    Returns shape (TEXTURE_DIMS, projection_dims). excluded_labels: not used, because a fold is tested on them.
    """
    vectors: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for track in tracks:
        texture = track.vectors[:, :TEXTURE_DIMS]
        centre = texture.mean(axis=0) if recipe.smoothing > 1 else 0.0  # of songs: differences from the song's mean
        sums = np.concatenate([np.zeros((1, TEXTURE_DIMS)), texture.cumsum(axis=0)])
        smooth_vectors = (sums[recipe.smoothing :] - sums[: -recipe.smoothing]) / recipe.smoothing - centre
        at = (
            step_to_time_without_gaps(np.arange(len(smooth_vectors)))
            + recipe.smoothing / 2 * HOP_FRAMES * HOP / ENGINE_RATE
        )
        for span in track.list_segments():
            if span.label in excluded_labels:
                continue
            inside = smooth_vectors[(at > span.start + recipe.edge_s) & (at < span.end - recipe.edge_s)][::2]
            name = span.label if track.truth.kind == "transitions" else f"{track.truth.audio.stem} {span.label}"
            vectors.append(inside)
            groups.append(np.full(len(inside), names.setdefault(name, len(names))))
    return fit_discriminant(np.concatenate(vectors), np.concatenate(groups), recipe.projection_dims)


def make_boundary_targets(
    track: TrackTexture, steps: NDArray[np.int64], recipe: TrainingRecipe, excluded_labels: frozenset[str] = frozenset()
) -> NDArray[np.int8]:
    """Return the training target at each texture vector in `steps`: 1 boundary, 0 none, -1 not used (near a boundary).

    steps: shape (n,), indices of texture vectors. excluded_labels: labels whose spans, with the boundaries at both
    ends, are -1, because a fold is tested on them.
    """
    at = step_to_time_without_gaps(steps)
    targets = np.zeros(len(steps), np.int8)
    spans = track.truth.spans
    changes = (
        [(span.start, span.end) for span in spans]
        if track.truth.kind == "transitions"
        else [(span.start, span.start) for span in spans[1:]]
    )
    for start, end in changes:
        targets[(at > start - recipe.margin_s) & (at < end + recipe.margin_s)] = -1
    for start, end in changes:
        targets[np.abs(at - (start + end) / 2) <= max(0.6, 0.3 * (end - start))] = 1
    if track.truth.kind == "sections":
        targets[(at < spans[0].start + 1.5) | (at > spans[-1].end - 1.5)] = -1
    segments = track.list_segments()
    for span, following in zip(segments, (*segments[1:], *segments[-1:]), strict=True):
        if span.label in excluded_labels:
            targets[(at > span.start - _FADE_S) & (at < following.end - _FADE_S)] = -1
    return targets


def collect_examples(
    track: TrackTexture,
    model: BoundaryModel,
    recipe: TrainingRecipe,
    negative_share: float,
    rng: np.random.Generator,
    min_log_odds: float = -np.inf,
    excluded_labels: frozenset[str] = frozenset(),
) -> TrainingExamples:
    """Return the features and targets of a track's boundary candidates: all positives, a random share of the negatives.

    A candidate gives an example at each age in `recipe.ages`. model: computes the features. negative_share: share of
    the negatives that is collected. min_log_odds: candidates are left out whose log-odds by the model's glance trees
    are not above it. excluded_labels: as in `make_boundary_targets`.
    """
    candidates = CandidateScorer(model)
    ages = np.array(recipe.ages)
    features, targets = [np.zeros((0, candidates.n_features), np.float32)], [np.zeros(0, np.int8)]
    track_targets = make_boundary_targets(track, np.arange(len(track.vectors) + 1), recipe, excluded_labels)
    for step, vector in enumerate(track.vectors, 1):
        mask = candidates.push(vector) > min_log_odds
        target = track_targets[np.maximum(step - ages, 0)]
        mask &= (target == 1) | ((target == 0) & (rng.random(len(ages)) < negative_share))
        features.append(candidates.features[mask].astype(np.float32))
        targets.append(target[mask])
    return TrainingExamples(np.concatenate(features), np.concatenate(targets))


def fit_trees(
    examples: list[TrainingExamples], weights: list[float], n_trees: int, n_leaves: int, n_features: int
) -> lightgbm.Booster:
    """Train boosted trees that predict whether a candidate is a boundary; return them as a LightGBM booster.

    examples, weights: of each track. n_trees: number. n_leaves: of each tree. n_features: the first ones are used.
    """
    options = {
        "objective": "binary",
        "num_leaves": n_leaves,
        "learning_rate": min(0.1, 12.5 / n_trees),
        "min_data_in_leaf": 100,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.4,
        "lambda_l2": 10.0,
        "verbosity": -1,
        "seed": 1,
        "num_threads": 1,
    }
    features = np.concatenate([one.features[:, :n_features] for one in examples])
    targets = np.concatenate([one.targets for one in examples])
    sample_weights = np.repeat(weights, [len(one.targets) for one in examples])
    return lightgbm.train(options, lightgbm.Dataset(features, targets, weight=sample_weights), num_boost_round=n_trees)


def flatten_trees(boosters: list[lightgbm.Booster]) -> dict[str, NDArray[np.int32] | Floats]:
    """Convert the trees of all boosters, in order, to arrays; return {field name of `BoundaryModel`: array}."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def add_node(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            value.append(float(node["leaf_value"]))
            return -len(value)
        here = len(feature)
        feature.append(int(node["split_feature"]))
        threshold.append(float(node["threshold"]))
        left.append(0)
        right.append(0)
        left[here] = add_node(node["left_child"])
        right[here] = add_node(node["right_child"])
        return here

    first = [add_node(tree["tree_structure"]) for booster in boosters for tree in booster.dump_model()["tree_info"]]
    return {
        "first": np.array(first, np.int32),
        "feature": np.array(feature, np.int32),
        "threshold": np.array(threshold),
        "left": np.array(left, np.int32),
        "right": np.array(right, np.int32),
        "value": np.array(value),
    }


def make_untrained_model(recipe: TrainingRecipe, projection: Floats, classes: Floats) -> BoundaryModel:
    """Make a boundary model without trees, which can compute the features of candidates but not classify them."""
    empty = np.zeros(0, np.int32)
    return BoundaryModel(
        projection=projection,
        classes=classes,
        ages=np.array(recipe.ages),
        first=empty,
        feature=empty,
        threshold=np.zeros(0),
        left=empty,
        right=empty,
        value=np.zeros(0),
        glance_trees=np.array(0),
        gate=np.array(-np.inf),
        prior=np.array(CLOSE_LOOK_NEGATIVE_SHARE),
        neighbourhood=np.array(recipe.neighbourhood),
        min_distance=np.array(recipe.min_distance),
        policies=np.array([[0.0, 0.5, 0.0, float(recipe.ages[0])]]),
    )


def with_glance_trees_only(model: BoundaryModel, booster: lightgbm.Booster, gate: float) -> BoundaryModel:
    """Return a copy of the model with only the trees of `booster`, to reject candidates with log-odds below `gate`."""
    return replace(
        model,
        **flatten_trees([booster]),  # type: ignore[arg-type]
        glance_trees=np.array(booster.num_trees()),
        gate=np.array(gate),
    )


def train_boundary_model(
    tracks: list[TrackTexture],
    classes: Floats,
    recipe: TrainingRecipe,
    *,
    weight: Callable[[TrackTexture], float] = lambda track: 1.0,  # noqa: ARG005  the same for every track
    excluded_labels: frozenset[str] = frozenset(),
) -> BoundaryModel:
    """Train a boundary model on annotated tracks; its confirmation policies and calibration are only placeholders.

    All tracks are of one kind of material. For policies and calibration see `choose_policies` and `calibrate_model`.
    classes: directions of sound classes, as in `BoundaryModel`. weight: returns the weight of a track's examples.
    excluded_labels: labels that are not used, because a fold is tested on them.

    First the glance trees, on all candidates. Then the trees of the close look, on the candidates that the glance
    trees pass on: for these examples, the glance trees are grown on the other half of the tracks.
    """
    rng = np.random.default_rng(0)
    model = make_untrained_model(recipe, fit_projection(tracks, recipe, excluded_labels), classes)
    weights = [weight(track) for track in tracks]
    width = CandidateScorer(model).n_glance_features
    glance_model = replace(model, gate=np.array(np.inf))
    glances = [
        collect_examples(track, glance_model, recipe, _NEGATIVE_SHARE, rng, excluded_labels=excluded_labels)
        for track in tracks
    ]
    halves = rng.permutation(len(tracks)) % 2
    examples: list[TrainingExamples | None] = [None] * len(tracks)
    gates = []
    for half in (0, 1):
        train, test = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        booster = fit_trees(
            [glances[i] for i in train], [weights[i] for i in train], _GLANCE_TREES, _GLANCE_LEAVES, width
        )
        gates.append(_choose_gate(booster, [glances[i] for i in test], width, recipe.close_look_share))
        glance_model = with_glance_trees_only(model, booster, gates[-1])
        for i in test:
            examples[i] = collect_examples(
                tracks[i], glance_model, recipe, CLOSE_LOOK_NEGATIVE_SHARE, rng, _REJECTION_FLOOR, excluded_labels
            )
    glance_trees = fit_trees(glances, weights, _GLANCE_TREES, _GLANCE_LEAVES, width)
    close_look_examples = [one for one in examples if one is not None]
    close_look_trees = fit_trees(
        close_look_examples, weights, recipe.trees, recipe.leaves, CandidateScorer(model).n_features
    )
    glance_model = with_glance_trees_only(model, glance_trees, float(np.mean(gates)))
    return replace(glance_model, **flatten_trees([glance_trees, close_look_trees]))  # type: ignore[arg-type]


def _choose_gate(
    booster: lightgbm.Booster, examples: list[TrainingExamples], width: int, close_look_share: float
) -> float:
    """Return the log-odds that this share of the negatives exceeds."""
    negatives = np.concatenate([one.features[one.targets == 0, :width] for one in examples])
    return float(np.quantile(np.asarray(booster.predict(negatives, raw_score=True)), 1 - close_look_share))
