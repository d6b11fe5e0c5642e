"""Train what tells whether two sections are the same: a projection, a code book, and a logistic regression.

::

    python -m streamseg.evaluation.train_labels songs OUT.npz FOLDER…     sections of one letter, within each song
    python -m streamseg.evaluation.train_labels tracks OUT.npz FOLDER…    parts of one track, among all of them

Sections of songs are taken as a detector would cut them: shifted, joined to their neighbour or cut in two. Of tracks
two parts are taken that do not overlap; the first seconds of the shorter one are blended with another track, as at
the end of a crossfade. Projection and code book are learned on other files than those whose pairs train the
regression, so that it sees distances as they are on what was never heard.
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

from streamseg.engine.features import Features
from streamseg.engine.likeness import NUMBERS, compare, sketch
from streamseg.engine.portrait import BLOCK_STEPS, Portrait
from streamseg.engine.texture import STANDARDISED_DIMS, STEP_S, Texture
from streamseg.evaluation.annotations import annotated_files
from streamseg.evaluation.generated.mixes import sources
from streamseg.evaluation.tracks import boundary_time, texture_of
from streamseg.evaluation.train_changes import discriminant
from streamseg.weights import LabelModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DIMS, WORDS = 24, 64
EDGE = 8  # vectors: half a crossfade of eight seconds
_RIDGE = 0.003
_PURE = 0.6  # of a section must be of one letter, else it trains nothing
_SHARE = 0.3  # of the pairs that are not the same


@dataclass(frozen=True, eq=False)
class Heard:
    """A file's texture. spans: (start, end, label) of its sections, seconds; empty where all of it is one."""

    name: str
    vectors: Floats
    spans: tuple[tuple[float, float, str], ...] = ()


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
    """Long parts of tracks against short parts."""
    long, short = [], []
    for at, file in enumerate(files):
        total = len(file.vectors)
        for _ in range(4):
            length = min(int(rng.integers(123, 368)), total - 60)
            start = int(rng.integers(0, total - length + 1))
            first, last = max(((0, start), (start + length, total)), key=lambda part: part[1] - part[0])
            steps = int(rng.choice((12, 16, 22, 22, 40, 160)))
            if last - first < steps:
                continue
            begin = int(rng.integers(first, last - steps + 1))
            part = file.vectors[begin : begin + steps].copy()
            fade = max(0, int(rng.integers(0, 16)) - EDGE)  # the longest crossfades outlast what is left out
            other = files[int(rng.integers(len(files)))].vectors[:fade]
            weight = 0.5 + 0.5 * (np.arange(len(other))[:, None] + 1) / (fade + 1)
            part[: len(other)] = weight * part[: len(other)] + (1 - weight) * other
            long.append((at, sketch(portrait_of(file.vectors[start : start + length]), model)))
            short.append((at, sketch(portrait_of(part), model)))
    told, same = [], []
    for one, a in long:
        for other_one, b in short:
            if one == other_one or rng.random() < _SHARE:
                told.append(compare(a, b))
                same.append(one == other_one)
    return np.array(told), np.array(same)


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
    return train(files, pairs_of_tracks, edge=EDGE, stay=0.1, shared=False)


def train(
    files: Sequence[Heard],
    pairing: Pairing,
    *,
    edge: int = 0,
    stay: float = 0.5,
    shared: bool = True,
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
    weights, bias = _logistic((told - mean) / deviation, same)
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


def _logistic(told: Floats, same: Bools) -> tuple[Floats, float]:
    """Maximum likelihood with a ridge."""
    sign = np.where(same, 1.0, -1.0)

    def loss(found: Floats) -> tuple[float, Floats]:
        margin = sign * (told @ found[:-1] + found[-1])
        wrong = 1.0 / (1.0 + np.exp(np.clip(margin, -50, 50)))
        value = np.logaddexp(0.0, -margin).mean() + _RIDGE * (found[:-1] ** 2).sum()
        slope = -(sign * wrong)[:, None] * told
        return float(value), np.append(slope.mean(axis=0) + 2 * _RIDGE * found[:-1], -(sign * wrong).mean())

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
    """The tracks below a folder, each one of its kind."""
    return [
        Heard(track.name, np.array([vector for _, vector in Texture().push(Features().push(track.samples))]))
        for track in sources(folder)
    ]


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
