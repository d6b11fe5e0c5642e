"""Train what tells whether two sections are the same: a projection, a code book, and a logistic regression.

::

    python -m streamseg.evaluation.train_labels songs OUT.npz FOLDER…     sections of one letter, within each song
    python -m streamseg.evaluation.train_labels tracks OUT.npz FOLDER…    parts of one track, among all of them

Sections of songs are taken as a detector would cut them: shifted, joined to their neighbour or cut in two. Of tracks
two parts are taken that do not overlap, rendered as in a mix, with fades from and into other tracks. Projection and
code book are learned on other files than those whose pairs train the regression, so that it sees distances as they
are on what was never heard.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from streamseg.engine.likeness import NUMBERS, compare, sketch
from streamseg.engine.portrait import BLOCK_STEPS, Portrait
from streamseg.engine.texture import STANDARDISED_DIMS, STEP_S
from streamseg.evaluation.annotations import annotated_files
from streamseg.evaluation.generated.mixes import sources
from streamseg.evaluation.generated.returns import Part, Return, Returns, texture
from streamseg.evaluation.tracks import boundary_time, texture_of
from streamseg.evaluation.train_changes import discriminant
from streamseg.weights import LabelModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DIMS, WORDS = 24, 64
EDGE = 8  # vectors: half a crossfade of eight seconds
_RIDGE, _RIDGE_TRACKS = 0.003, 0.0003  # there are more pairs of tracks
_PURE = 0.6  # of a section must be of one letter, else it trains nothing
_AGES_S = (6.0, 8.0, 10.0, 12.0, 15.0, 15.0, 15.0, 20.0)  # of a part that comes back, when it is looked at
_OTHERS = 20  # parts of other tracks that it is held against
_MISPLACED_S = 0.7


@dataclass(frozen=True, eq=False)
class Heard:
    """A file's texture. spans: (start, end, label) of its sections, seconds; empty where all of it is one.

    returns: of a track, what it is like in mixes.
    """

    name: str
    vectors: Floats
    spans: tuple[tuple[float, float, str], ...] = ()
    returns: tuple[Return, ...] = ()


Pairs: TypeAlias = tuple[Floats, Bools]  # comparisons, shape (n, NUMBERS), and whether the two were the same
Pairing: TypeAlias = Callable[[Sequence[Heard], LabelModel, np.random.Generator], Pairs]


def portrait_of(vectors: Floats) -> Portrait:
    """The portrait of a section of these vectors."""
    portrait = Portrait()
    portrait.push(vectors)
    return portrait


def space(files: Sequence[Heard]) -> LabelModel:
    """Projection and code book; what they say of likeness is still to be learned."""
    rows: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for file in files:
        for start, end, label in file.spans or ((0.0, np.inf, ""),):
            inside = file.vectors[_within(file, start, end), :STANDARDISED_DIMS]
            whole = inside[: len(inside) // BLOCK_STEPS * BLOCK_STEPS]
            rows.append(whole.reshape(-1, BLOCK_STEPS, STANDARDISED_DIMS).mean(axis=1))
            groups.append(np.full(len(rows[-1]), names.setdefault(f"{file.name} {label}", len(names))))
    blocks = np.concatenate(rows)
    projection = discriminant(blocks, np.concatenate(groups), DIMS)
    none = np.zeros(NUMBERS)
    return LabelModel(
        projection, _words(blocks @ projection), none, none + 1.0, none, bias=np.array(0.0), edge=np.array(0)
    )


def pairs_of_tracks(files: Sequence[Heard], model: LabelModel, rng: np.random.Generator) -> Pairs:
    """Parts that come back, soon after their begin, against what was heard of their track before, and of others."""
    before = [
        (at, one, sketch(portrait_of(_cut(one.before, rng, one.before.end)), model))
        for at, file in enumerate(files)
        for one in file.returns
    ]
    told, same = [], []
    for at, one, mine in before:
        for part in one.again:
            for age_s in rng.choice(_AGES_S, 2, replace=False):
                short = sketch(portrait_of(_cut(part, rng, part.start + age_s)), model)
                others = [before[i] for i in rng.choice(len(before), min(_OTHERS, len(before)), replace=False)]
                against = [mine, *(other for other_at, _, other in others if other_at != at)]
                told += [compare(short, other) for other in against]
                same += [other is mine for other in against]
    return np.array(told), np.array(same)


def _cut(part: Part, rng: np.random.Generator, end_s: float) -> Floats:
    """From a misplaced begin, its edge left out, to end_s."""
    start, end = (
        round((at - float(boundary_time(0))) / STEP_S) for at in (part.start + rng.laplace(0.0, _MISPLACED_S), end_s)
    )
    end = max(2, min(end, len(part.vectors)))
    start = max(0, min(start, end - 2))
    return part.vectors[start + max(0, min(EDGE, end - start - 8)) : end]


def pairs_of_songs(files: Sequence[Heard], model: LabelModel, rng: np.random.Generator) -> Pairs:
    """Sections of one song against one another."""
    told, same = [np.zeros((0, NUMBERS))], []
    for file in files:
        for _ in range(3):
            parts = []
            for start, end in cuts(file, rng):
                label = _majority(file, start, end)
                inside = file.vectors[_within(file, start, end)]
                if label and len(inside) >= BLOCK_STEPS:
                    parts.append((label, sketch(portrait_of(inside), model)))
            for i, (label, one) in enumerate(parts):
                for other_label, other in parts[:i]:
                    told.append(compare(one, other)[None])
                    same.append(label == other_label)
    return np.concatenate(told), np.array(same)


def cuts(file: Heard, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """A song's sections as a detector would find them: some boundaries missed, some misplaced, some invented."""
    edges = [file.spans[0][0]]
    for start, end, _ in file.spans:
        if end - start > 16.0 and rng.random() < 0.15:
            edges.append(float(rng.uniform(start + 6.0, end - 6.0)))
        if end == file.spans[-1][1]:
            edges.append(end)
        elif rng.random() < 0.7:
            edges.append(end + float(rng.laplace(0.0, 1.0)))
    edges.sort()
    return ((a, b) for a, b in pairwise(edges) if b - a > 2.0)


def train_tracks(files: Sequence[Heard]) -> LabelModel:
    """The whole model of tracks in mixes."""
    return train(files, pairs_of_tracks, edge=EDGE, stay=0.1, shared=False, ridge=_RIDGE_TRACKS)


def train(
    files: Sequence[Heard],
    pairing: Pairing,
    *,
    edge: int = 0,
    stay: float = 0.5,
    shared: bool = True,
    ridge: float = _RIDGE,
    halves: int = 2,
) -> LabelModel:
    """The whole model of one kind of sound; edge, stay, shared: see `LabelModel`."""
    rng = np.random.default_rng(0)
    parts = []
    for half in range(halves):
        told_by = [file for i, file in enumerate(files) if i % halves == half]
        learned_on = [file for i, file in enumerate(files) if i % halves != half]
        parts.append(pairing(told_by, space(learned_on), rng))
    told, same = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    mean, deviation = told.mean(axis=0), told.std(axis=0) + 1e-9
    weights, bias = _logistic((told - mean) / deviation, same, ridge)
    # Odds of what was told, not of how often pairs were the same in training.
    bias -= float(np.log(same.mean() / (1.0 - same.mean())))
    learned = space(files)
    return LabelModel(
        learned.projection,
        learned.words,
        mean,
        deviation,
        weights,
        bias=np.array(bias),
        edge=np.array(edge),
        stay=np.array(stay),
        shared=np.array(shared),
    )


def _logistic(told: Floats, same: Bools, ridge: float) -> tuple[Floats, float]:
    """Maximum likelihood with a ridge."""
    sign = np.where(same, 1.0, -1.0)

    def loss(found: Floats) -> tuple[float, Floats]:
        margin = sign * (told @ found[:-1] + found[-1])
        wrong = 1.0 / (1.0 + np.exp(np.clip(margin, -50, 50)))
        value = np.logaddexp(0.0, -margin).mean() + ridge * (found[:-1] ** 2).sum()
        slope = -(sign * wrong)[:, None] * told
        return float(value), np.append(slope.mean(axis=0) + 2 * ridge * found[:-1], -(sign * wrong).mean())

    found = minimize(loss, np.zeros(told.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found[:-1], float(found[-1])


def _words(blocks: Floats) -> Floats:
    """A code book by k-means (Lloyd 1982) from evenly spread seeds."""
    blocks = blocks[:: max(1, len(blocks) // 6000)]
    words: Floats = blocks[np.linspace(0, len(blocks) - 1, WORDS).astype(int)].copy()
    for _ in range(20):
        nearest = ((blocks[:, None] - words[None]) ** 2).sum(axis=2).argmin(axis=1)
        for word in range(WORDS):
            if (nearest == word).any():
                words[word] = blocks[nearest == word].mean(axis=0)
    return words


def _within(file: Heard, start: float, end: float) -> Bools:
    at = boundary_time(np.arange(len(file.vectors))) + STEP_S / 2
    inside: Bools = (at >= start) & (at < end)
    return inside


def _majority(file: Heard, start: float, end: float) -> str | None:
    shares: dict[str, float] = {}
    for first, last, label in file.spans:
        shares[label] = shares.get(label, 0.0) + max(0.0, min(end, last) - max(start, first))
    label = max(shares, key=shares.__getitem__)
    return label if shares[label] > _PURE * (end - start) else None


def heard_songs(folder: Path) -> list[Heard]:
    """The songs of a folder, with their sections."""
    return [
        Heard(track.audio.stem, texture_of(track.audio), tuple((s.start, s.end, s.label) for s in track.segments))
        for track in annotated_files(folder, "sections")
    ]


def heard_tracks(folder: Path) -> list[Heard]:
    """The tracks below a folder, each one of its kind, and how they come back in mixes of one another."""
    tracks = list(sources(folder))
    returns = Returns(tracks, seed=0)
    return [Heard(track.name, texture(track.samples), (), tuple(returns.of(track))) for track in tracks]


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("songs", "tracks"))
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    asked = parser.parse_args()
    read = heard_songs if asked.kind == "songs" else heard_tracks
    files = [file for folder in asked.folders for file in read(folder)]
    model = train(files, pairs_of_songs) if asked.kind == "songs" else train_tracks(files)
    model.save(asked.out)


if __name__ == "__main__":
    main()
