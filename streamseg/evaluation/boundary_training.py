"""Train the judge of changes: projection, kinds of sound, boosted trees, and when to be sure.

The evidence a candidate is trained on is gathered by the very code that gathers it live, vector by vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from streamseg.engine.boundaries.candidates import CandidateFeatures
from streamseg.engine.features.texture import HOP_FRAMES, STANDARDISED_DIMS, TEXTURE_DIMS
from streamseg.engine.models.weights import BoundaryModel
from streamseg.evaluation.tracks import TrackTexture, step_to_time
from streamseg.settings import ENGINE_RATE, HOP

Floats = NDArray[np.float64]

_NEGATIVE_SHARE = 0.15  # of the places where nothing changes; there are a hundred for each where something does
CLOSE_LOOK_NEGATIVE_SHARE = 0.5  # of those that are not dismissed
_GLANCE_TREES, _GLANCE_LEAVES = 40, 8
_REJECTION_FLOOR = -20.0
_FADE_S = 10.0
_RIDGE = 0.05


@dataclass(frozen=True, slots=True)
class TrainingExamples:
    """What was known of candidates, shape (candidates, width), and whether the sound changed there."""

    features: NDArray[np.float32]
    targets: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """What differs between kinds of sound.

    learned: dimensions of the projection. smooth: vectors averaged before it is learned. ages: when candidates are
    judged. near, gap: see `BoundaryModel`. margin_s: nearer to a boundary than this is neither change nor none. trees,
    leaves: of the closer look. looked_at: share of the places where nothing changes that the first glance lets through.
    """

    learned: int
    smooth: int
    ages: tuple[int, ...]
    near: int
    gap: int
    margin_s: float
    edge_s: float
    trees: int = 250
    leaves: int = 12
    looked_at: float = 0.12


RECIPES = {
    "songs": TrainingRecipe(12, 8, (3, 4, 6, 8, 10, 13, 16, 20, 26, 34), 8, 8, 1.5, 2.0, 250, 16, 0.16),
    "mixes": TrainingRecipe(24, 1, (3, 4, 6, 8, 10, 13, 16, 20, 28, 40), 8, 16, 3.0, 9.0),
    "programmes": TrainingRecipe(16, 1, (1, 2, 3, 4, 5, 6, 8, 10, 14, 20), 5, 6, 2.0, 1.0),
}


def fit_discriminant(vectors: Floats, groups: NDArray[np.int64], dims: int) -> Floats:
    """Linear discriminant directions (Fisher 1936), scaled to unit variance within groups; shape (d, dims)."""
    names, index = np.unique(groups, return_inverse=True)
    counts = np.bincount(index)
    means = np.zeros((len(names), vectors.shape[1]))
    np.add.at(means, index, vectors)
    means /= counts[:, None]
    within = np.cov((vectors - means[index]).T) + _RIDGE * np.eye(vectors.shape[1])
    spread = (means - vectors.mean(axis=0)) * np.sqrt(counts)[:, None]
    _, directions = eigh(spread.T @ spread / len(vectors), within)
    best = directions[:, ::-1][:, :dims]
    scaled: Floats = best / np.sqrt(np.diag(best.T @ within @ best))
    return scaled


def fit_projection(
    tracks: list[TrackTexture], recipe: TrainingRecipe, excluded_labels: frozenset[str] = frozenset()
) -> Floats:
    """Directions in which the vectors of one labelled stretch lie close together and others apart.

    held: labels that are not looked at, because a fold tests on them.
    """
    vectors: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for track in tracks:
        texture = track.vectors[:, :TEXTURE_DIMS]
        centre = texture.mean(axis=0) if recipe.smooth > 1 else 0.0  # in a song, what differs from the song
        sums = np.concatenate([np.zeros((1, TEXTURE_DIMS)), texture.cumsum(axis=0)])
        smoothed = (sums[recipe.smooth :] - sums[: -recipe.smooth]) / recipe.smooth - centre
        at = step_to_time(np.arange(len(smoothed))) + recipe.smooth / 2 * HOP_FRAMES * HOP / ENGINE_RATE
        for span in track.truth.segments:
            if span.label in excluded_labels:
                continue
            inside = smoothed[(at > span.start + recipe.edge_s) & (at < span.end - recipe.edge_s)][::2]
            shared = span.label if track.truth.kind == "transitions" else f"{track.truth.audio.stem} {span.label}"
            vectors.append(inside)
            groups.append(np.full(len(inside), names.setdefault(shared, len(names))))
    return fit_discriminant(np.concatenate(vectors), np.concatenate(groups), recipe.learned)


def fit_sound_classes(tracks: list[TrackTexture], dims: int = 5) -> Floats:
    """Directions that tell speech, music, noise … apart, from programmes."""
    vectors: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for track in tracks:
        at = step_to_time(np.arange(len(track.vectors)))
        for span in track.truth.segments:
            inside = track.vectors[(at > span.start + 1) & (at < span.end - 1), :STANDARDISED_DIMS]
            vectors.append(inside)
            groups.append(np.full(len(inside), names.setdefault(span.label, len(names))))
    return fit_discriminant(np.concatenate(vectors), np.concatenate(groups), dims)


def boundary_targets(
    track: TrackTexture, steps: NDArray[np.int64], recipe: TrainingRecipe, excluded_labels: frozenset[str] = frozenset()
) -> NDArray[np.int8]:
    """1 where the sound changes, 0 where it does not, -1 where it is too near to say.

    held: labels whose stretches, and the changes from and to them, a fold must not be taught.
    """
    at = step_to_time(steps)
    answer = np.zeros(len(steps), np.int8)
    spans = track.truth.spans
    changes = (
        [(span.start, span.end) for span in spans]
        if track.truth.kind == "transitions"
        else [(span.start, span.start) for span in spans[1:]]
    )
    for start, end in changes:
        answer[(at > start - recipe.margin_s) & (at < end + recipe.margin_s)] = -1
    for start, end in changes:
        answer[np.abs(at - (start + end) / 2) <= max(0.6, 0.3 * (end - start))] = 1
    if track.truth.kind == "sections":
        answer[(at < spans[0].start + 1.5) | (at > spans[-1].end - 1.5)] = -1
    segments = track.truth.segments
    for span, following in zip(segments, (*segments[1:], segments[-1]), strict=True):
        if span.label in excluded_labels:
            answer[(at > span.start - _FADE_S) & (at < following.end - _FADE_S)] = -1
    return answer


def fit_singing_direction(tracks: list[TrackTexture]) -> Floats:
    """The direction that tells sung parts from others: labels in capitals from small ones."""
    vectors, groups = [], []
    for track in tracks:
        at = step_to_time(np.arange(len(track.vectors)))
        for span in track.truth.segments:
            inside = track.vectors[(at > span.start + 1) & (at < span.end - 1), :STANDARDISED_DIMS]
            vectors.append(inside)
            groups.append(np.full(len(inside), span.label.isupper(), np.int64))
    return fit_discriminant(np.concatenate(vectors), np.concatenate(groups), 1)


def collect_examples(
    track: TrackTexture,
    model: BoundaryModel,
    recipe: TrainingRecipe,
    keep: float,
    rng: np.random.Generator,
    floor: float = -np.inf,
    excluded_labels: frozenset[str] = frozenset(),
) -> TrainingExamples:
    """What was known of each candidate, at each age, whose log odds are above the floor.

    keep: the share of the non-changes that is taken.
    """
    evidence = CandidateFeatures(model)
    ages = np.array(recipe.ages)
    told, answers = [np.zeros((0, evidence.n_features), np.float32)], [np.zeros(0, np.int8)]
    everywhere = boundary_targets(track, np.arange(len(track.vectors) + 1), recipe, excluded_labels)
    for step, vector in enumerate(track.vectors, 1):
        kept = evidence.push(vector) > floor
        answer = everywhere[np.maximum(step - ages, 0)]
        kept &= (answer == 1) | ((answer == 0) & (rng.random(len(ages)) < keep))
        told.append(evidence.features[kept].astype(np.float32))
        answers.append(answer[kept])
    return TrainingExamples(np.concatenate(told), np.concatenate(answers))


def fit_trees(
    examples: list[TrainingExamples], weights: list[float], trees: int, leaves: int, width: int
) -> lightgbm.Booster:
    """Boosted trees for the probability of a change, on the first `width` numbers of evidence."""
    options = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": min(0.1, 12.5 / trees),
        "min_data_in_leaf": 100,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.4,
        "lambda_l2": 10.0,
        "verbosity": -1,
        "seed": 1,
        "num_threads": 1,
    }
    told = np.concatenate([one.features[:, :width] for one in examples])
    answers = np.concatenate([one.targets for one in examples])
    each = np.concatenate([np.full(len(one.targets), w) for one, w in zip(examples, weights, strict=True)])
    return lightgbm.train(options, lightgbm.Dataset(told, answers, weight=each), num_boost_round=trees)


def flatten_trees(boosters: list[lightgbm.Booster]) -> dict[str, NDArray[np.int32] | Floats]:
    """The trees of all boosters as flat arrays, as `streamseg.engine.boundaries.trees` reads them."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def lay(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            value.append(float(node["leaf_value"]))
            return -len(value)
        here = len(feature)
        feature.append(int(node["split_feature"]))
        threshold.append(float(node["threshold"]))
        left.append(0)
        right.append(0)
        left[here] = lay(node["left_child"])
        right[here] = lay(node["right_child"])
        return here

    first = [lay(tree["tree_structure"]) for booster in boosters for tree in booster.dump_model()["tree_info"]]
    return {
        "first": np.array(first, np.int32),
        "feature": np.array(feature, np.int32),
        "threshold": np.array(threshold),
        "left": np.array(left, np.int32),
        "right": np.array(right, np.int32),
        "value": np.array(value),
    }


def untrained_model(recipe: TrainingRecipe, learned: Floats, classes: Floats) -> BoundaryModel:
    """A model that gathers evidence and judges nothing yet."""
    none = np.zeros(0, np.int32)
    return BoundaryModel(
        projection=learned,
        classes=classes,
        ages=np.array(recipe.ages),
        first=none,
        feature=none,
        threshold=np.zeros(0),
        left=none,
        right=none,
        value=np.zeros(0),
        glance_trees=np.array(0),
        gate=np.array(-np.inf),
        prior=np.array(CLOSE_LOOK_NEGATIVE_SHARE),
        neighbourhood=np.array(recipe.near),
        min_distance=np.array(recipe.gap),
        policies=np.array([[0.0, 0.5, 0.0, float(recipe.ages[0])]]),
    )


def add_glance_trees(model: BoundaryModel, booster: lightgbm.Booster, gate: float) -> BoundaryModel:
    """A model that dismisses by these trees what they put below the gate."""
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
    weight: Callable[[TrackTexture], float] = lambda track: 1.0,  # noqa: ARG005  every track weighs the same unless told
    excluded_labels: frozenset[str] = frozenset(),
) -> BoundaryModel:
    """A judge for one kind of sound; its policies are still to be chosen.

    First the trees that judge at first glance, on every candidate. Then those of the closer look, on the candidates
    that are left; what these are told rests on glances of trees that were grown on the other half of the tracks.
    """
    rng = np.random.default_rng(0)
    model = untrained_model(recipe, fit_projection(tracks, recipe, excluded_labels), classes)
    weights = [weight(track) for track in tracks]
    width = CandidateFeatures(model).n_glance_features
    glancing = replace(model, gate=np.array(np.inf))
    glances = [
        collect_examples(track, glancing, recipe, _NEGATIVE_SHARE, rng, excluded_labels=excluded_labels)
        for track in tracks
    ]
    halves = rng.permutation(len(tracks)) % 2
    examples: list[TrainingExamples | None] = [None] * len(tracks)
    gates = []
    for half in (0, 1):
        others, mine = np.flatnonzero(halves != half), np.flatnonzero(halves == half)
        grown = fit_trees(
            [glances[i] for i in others], [weights[i] for i in others], _GLANCE_TREES, _GLANCE_LEAVES, width
        )
        gates.append(_choose_gate(grown, [glances[i] for i in mine], width, recipe.looked_at))
        glancing = add_glance_trees(model, grown, gates[-1])
        for i in mine:
            examples[i] = collect_examples(
                tracks[i], glancing, recipe, CLOSE_LOOK_NEGATIVE_SHARE, rng, _REJECTION_FLOOR, excluded_labels
            )
    glance = fit_trees(glances, weights, _GLANCE_TREES, _GLANCE_LEAVES, width)
    left = [one for one in examples if one is not None]
    closer = fit_trees(left, weights, recipe.trees, recipe.leaves, CandidateFeatures(model).n_features)
    seen = add_glance_trees(model, glance, float(np.mean(gates)))
    return replace(seen, **flatten_trees([glance, closer]))  # type: ignore[arg-type]


def _choose_gate(booster: lightgbm.Booster, examples: list[TrainingExamples], width: int, looked_at: float) -> float:
    """The log odds below which most places lie where nothing changes."""
    told = np.concatenate([one.features[one.targets == 0, :width] for one in examples])
    return float(np.quantile(np.asarray(booster.predict(told, raw_score=True)), 1 - looked_at))
