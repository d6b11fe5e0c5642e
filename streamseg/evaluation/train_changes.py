"""Train the judge of changes: projection, kinds of sound, boosted trees, and when to be sure.

The evidence a candidate is trained on is gathered by the very code that gathers it live, vector by vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from streamseg.engine.changepoints import ChangePoints
from streamseg.engine.evidence import Evidence
from streamseg.engine.features import Features
from streamseg.engine.judge import Judge
from streamseg.engine.resampling import Resampler
from streamseg.engine.texture import HOP_FRAMES, SPAN_FRAMES, TEXTURE_DIMS, VECTOR_DIMS, Texture
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import Annotated
from streamseg.settings import ENGINE_RATE, FRAME, HOP, Settings
from streamseg.sources import AudioFile
from streamseg.weights import ChangeModel

Floats = NDArray[np.float64]

_KEPT_SHARE = 0.15  # of the places where nothing changes; there are a hundred for each where something does
_RIDGE = 0.05


@dataclass(frozen=True, slots=True)
class Recipe:
    """What differs between kinds of sound.

    learned: dimensions of the projection. smooth: vectors averaged before it is learned. ages: when candidates are
    judged. near, gap: see `ChangeModel`. margin_s: nearer to a boundary than this is neither change nor none.
    """

    learned: int
    smooth: int
    ages: tuple[int, ...]
    near: int
    gap: int
    margin_s: float
    edge_s: float


RECIPES = {
    "songs": Recipe(12, 8, (3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48), 8, 8, 3.0, 2.0),
    "mixes": Recipe(24, 1, (3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48), 8, 16, 3.0, 9.0),
    "programmes": Recipe(16, 1, (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 28), 5, 6, 2.0, 1.0),
}
_CANDIDATE_POLICIES = [
    (threshold, rise)
    for threshold in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
    for rise in (0.0, 0.15, 0.3, 0.5, 0.8)
]


@dataclass(frozen=True, eq=False)
class Track:
    """A file's texture with its truth."""

    truth: Annotated
    vectors: Floats
    source: str  # tracks of one source never stand on both sides of a fold


def texture_of(path: Path) -> Floats:
    """All texture vectors of a file, as the engine hears them; shape (n, VECTOR_DIMS)."""
    features, texture = Features(), Texture()
    resampler: Resampler | None = None
    found = [np.zeros((0, VECTOR_DIMS))]
    for block in AudioFile(str(path)):
        resampler = resampler or Resampler(block.sample_rate)
        found += [vector[None] for _, vector in texture.push(features.push(resampler.push(block.samples)))]
    return np.concatenate(found)


def boundary_time(step: int | NDArray[np.int64]) -> Floats:
    """Stream seconds of a change before texture vector `step`."""
    last_frame = SPAN_FRAMES - 1 + np.asarray(step) * HOP_FRAMES
    frame = last_frame + 1 - (SPAN_FRAMES + HOP_FRAMES) // 2
    seconds: Floats = (frame * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    return seconds


def heard_time(step: int) -> float:
    """Stream seconds at which the texture vector before `step` is complete."""
    return float(((SPAN_FRAMES - 1 + (step - 1) * HOP_FRAMES) * HOP + FRAME) / ENGINE_RATE)


def discriminant(vectors: Floats, groups: NDArray[np.int64], dims: int) -> Floats:
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


def projection(tracks: list[Track], recipe: Recipe) -> Floats:
    """Directions in which the vectors of one labelled stretch lie close together and others apart."""
    vectors, groups, names = [], [], {}
    for track in tracks:
        texture = track.vectors[:, :TEXTURE_DIMS]
        centre = texture.mean(axis=0) if recipe.smooth > 1 else 0.0  # in a song, what differs from the song
        sums = np.concatenate([np.zeros((1, TEXTURE_DIMS)), texture.cumsum(axis=0)])
        smoothed = (sums[recipe.smooth :] - sums[: -recipe.smooth]) / recipe.smooth - centre
        at = boundary_time(np.arange(len(smoothed))) + recipe.smooth / 2 * HOP_FRAMES * HOP / ENGINE_RATE
        for span in track.truth.segments:
            inside = smoothed[(at > span.start + recipe.edge_s) & (at < span.end - recipe.edge_s)][::2]
            shared = span.label if track.truth.kind == "transitions" else f"{track.truth.audio.stem} {span.label}"
            vectors.append(inside)
            groups.append(np.full(len(inside), names.setdefault(shared, len(names))))
    return discriminant(np.concatenate(vectors), np.concatenate(groups), recipe.learned)


def kinds_of_sound(tracks: list[Track], dims: int = 5) -> Floats:
    """Directions that tell speech, music, noise … apart, from programmes."""
    vectors, groups, names = [], [], {}
    for track in tracks:
        at = boundary_time(np.arange(len(track.vectors)))
        for span in track.truth.segments:
            inside = track.vectors[(at > span.start + 1) & (at < span.end - 1)]
            vectors.append(inside)
            groups.append(np.full(len(inside), names.setdefault(span.label, len(names))))
    return discriminant(np.concatenate(vectors), np.concatenate(groups), dims)


def truths(track: Track, steps: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int8]:
    """1 where the sound changes, 0 where it does not, -1 where it is too near to say."""
    at = boundary_time(steps)
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
    return answer


def evidence_of(
    track: Track, model: ChangeModel, recipe: Recipe, keep: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What was known of each candidate at each age, and the answers; a share `keep` of the non-changes."""
    evidence = Evidence(model)
    ages = np.array(recipe.ages)
    told, answers = [np.zeros((0, evidence.width), np.float32)], [np.zeros(0, np.int8)]
    everywhere = truths(track, np.arange(len(track.vectors) + 1), recipe)
    for step, vector in enumerate(track.vectors, 1):
        rows = evidence.push(vector)
        answer = np.where(step - ages >= 4, everywhere[np.maximum(step - ages, 0)], -1)
        taken = (answer == 1) | ((answer == 0) & (rng.random(len(ages)) < keep))
        told.append(rows[taken].astype(np.float32))
        answers.append(answer[taken])
    return np.concatenate(told), np.concatenate(answers)


def grow(
    told: NDArray[np.float32], answers: NDArray[np.int8], weights: Floats, trees: int, leaves: int
) -> lightgbm.Booster:
    """Boosted trees for the probability of a change."""
    options = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "min_data_in_leaf": 100,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.4,
        "lambda_l2": 10.0,
        "verbosity": -1,
        "seed": 1,
        "num_threads": 1,
    }
    return lightgbm.train(options, lightgbm.Dataset(told, answers, weight=weights), num_boost_round=trees)


def flattened(booster: lightgbm.Booster) -> dict[str, NDArray[np.int32] | Floats]:
    """The trees as flat arrays, as `streamseg.engine.trees` reads them."""
    first: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []

    def lay(node: dict[str, object]) -> int:
        if "leaf_value" in node:
            value.append(float(node["leaf_value"]))  # type: ignore[arg-type]
            return -len(value)
        here = len(feature)
        feature.append(int(node["split_feature"]))  # type: ignore[call-overload]
        threshold.append(float(node["threshold"]))  # type: ignore[arg-type]
        left.append(0)
        right.append(0)
        left[here] = lay(node["left_child"])  # type: ignore[arg-type]
        right[here] = lay(node["right_child"])  # type: ignore[arg-type]
        return here

    for tree in booster.dump_model()["tree_info"]:
        first.append(lay(tree["tree_structure"]))
    return {
        "first": np.array(first, np.int32),
        "feature": np.array(feature, np.int32),
        "threshold": np.array(threshold),
        "left": np.array(left, np.int32),
        "right": np.array(right, np.int32),
        "value": np.array(value),
    }


def blank(recipe: Recipe, learned: Floats, classes: Floats) -> ChangeModel:
    """A model that gathers evidence and judges nothing yet."""
    none = np.zeros(0, np.int32)
    return ChangeModel(
        projection=learned,
        classes=classes,
        ages=np.array(recipe.ages),
        first=none,
        feature=none,
        threshold=np.zeros(0),
        left=none,
        right=none,
        value=np.zeros(0),
        prior=np.array(_KEPT_SHARE),
        near=np.array(recipe.near),
        gap=np.array(recipe.gap),
        policies=np.array([[0.0, 0.5, 0.0, float(recipe.ages[0])]]),
    )


def train(
    tracks: list[Track],
    classes: Floats,
    recipe: Recipe,
    *,
    weight: Callable[[Track], float] = lambda track: 1.0,  # noqa: ARG005  every track weighs the same unless told
    trees: int = 250,
    leaves: int = 12,
) -> ChangeModel:
    """A judge for one kind of sound; its policies are still to be chosen."""
    rng = np.random.default_rng(0)
    model = blank(recipe, projection(tracks, recipe), classes)
    parts = [evidence_of(track, model, recipe, _KEPT_SHARE, rng) for track in tracks]
    weights = np.concatenate([np.full(len(a), weight(track)) for track, (_, a) in zip(tracks, parts, strict=True)])
    booster = grow(np.concatenate([t for t, _ in parts]), np.concatenate([a for _, a in parts]), weights, trees, leaves)
    return replace(model, **flattened(booster))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a policy does over tracks."""

    f: float
    precision: float
    recall: float
    false_alarms_per_h: float
    delay_median_s: float
    delay_p90_s: float
    policy: tuple[float, float, float, float]


def judged(track: Track, model: ChangeModel) -> Floats:
    """The judge's whole testimony on a track: row by row what it says at each vector, shape (vectors, ages)."""
    judge = Judge(model)
    return np.array([judge.push(vector) for vector in track.vectors])


def decided(
    testimony: Floats, model: ChangeModel, policy: tuple[float, float, float, float], settings: Settings
) -> list[tuple[float, float]]:
    """(t, decided_t) of each change that a policy confirms on that testimony."""
    changes = ChangePoints(settings, replace(model, policies=np.array([policy])))
    found = []
    for step, probabilities in enumerate(testimony, 1):
        found += [(change, step) for change in changes.push(probabilities)]
    found += [(change, len(testimony)) for change in changes.settle()]
    return [
        (float(boundary_time(change.step)), heard_time(step)) for change, step in found if change.state == "confirmed"
    ]


def outcome(
    tracks: list[Track],
    tables: list[Floats],
    model: ChangeModel,
    policy: tuple[float, float, float, float],
    settings: Settings,
) -> Outcome:
    """Score a policy over testimonies."""
    found, delays, alarms, hours = [], [], 0, 0.0
    for track, table in zip(tracks, tables, strict=True):
        said = decided(table, model, policy, settings)
        spans = track.truth.spans
        hours += len(track.vectors) * HOP_FRAMES * HOP / ENGINE_RATE / 3600
        if track.truth.kind == "transitions":
            truth = [(span.start + span.end) / 2 for span in spans]
            result, pairs = scores.transitions(spans, [t for t, _ in said])
        else:
            truth = scores.inner_boundaries(spans)
            said = [(t, d) for t, d in said if spans[0].start < t < spans[-1].end]
            result = scores.detection(truth, [t for t, _ in said], 3.0)
            pairs = scores.matches(truth, [t for t, _ in said], 3.0)
        found.append(result)
        alarms += len(said) - len(pairs)
        delays += [said[j][1] - truth[i] for i, j in pairs]
    return Outcome(
        f=float(np.mean([one.f for one in found])),
        precision=float(np.mean([one.precision for one in found])),
        recall=float(np.mean([one.recall for one in found])),
        false_alarms_per_h=alarms / hours,
        delay_median_s=float(np.median(delays)) if delays else np.inf,
        delay_p90_s=float(np.percentile(delays, 90)) if delays else np.inf,
        policy=policy,
    )


def outcomes(tracks: list[Track], tables: list[Floats], model: ChangeModel, settings: Settings) -> list[Outcome]:
    """Every candidate policy, scored."""
    return [
        outcome(tracks, tables, model, (0.0, threshold, rise, float(youngest)), settings)
        for threshold, rise in _CANDIDATE_POLICIES
        for youngest in model.ages[::2]
    ]


def best_policies(found: list[Outcome], lookaheads_s: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0)) -> Floats:
    """For each look-ahead, the policy of highest F whose median delay lies within it; the fastest where none does."""
    rows = []
    for lookahead_s in lookaheads_s:
        timely = [one for one in found if one.delay_median_s <= lookahead_s]
        one = max(timely, key=lambda one: one.f) if timely else min(found, key=lambda one: one.delay_median_s)
        rows.append((lookahead_s, *one.policy[1:]))
    return np.array(rows)
