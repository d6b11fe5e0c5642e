"""Train what tells whether two sections are the same: a projection, a code book, and a logistic regression.

::

    python -m tools.training.label_training songs OUT.npz FOLDER…     sections of one letter, within each song
    python -m tools.training.label_training tracks OUT.npz FOLDER…    parts of one track, among all of them

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

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.texture import STANDARDISED_DIMS, STEP_S, TextureExtractor
from streamseg.engine.labels.descriptor import WINDOW_STEPS, SectionDescriptor
from streamseg.engine.labels.similarity import N_COMPARISON_FEATURES, compare_descriptors, prepare_descriptor
from streamseg.engine.models.weights import LabelModel
from streamseg.evaluation.annotations import find_annotated_files
from streamseg.evaluation.discriminant import fit_discriminant
from streamseg.evaluation.tracks import extract_texture, step_to_time
from tools.training.corpora.mixes import load_tracks

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DIMS, CODEBOOK_SIZE = 24, 64
EDGE_VECTORS = 8  # vectors: half a crossfade of eight seconds
_RIDGE = 0.003
_PURE = 0.6  # of a section must be of one letter, else it trains nothing
_SHARE = 0.3  # of the pairs that are not the same


@dataclass(frozen=True, eq=False)
class LabelledTexture:
    """A file's texture. spans: (start, end, label) of its sections, seconds; empty where all of it is one."""

    name: str
    vectors: Floats
    spans: tuple[tuple[float, float, str], ...] = ()


Pairs: TypeAlias = tuple[Floats, Bools]  # comparisons, shape (n, NUMBERS), and whether the two were the same
Pairing: TypeAlias = Callable[[Sequence[LabelledTexture], LabelModel, np.random.Generator], Pairs]


def describe_vectors(vectors: Floats) -> SectionDescriptor:
    """The portrait of a section of these vectors."""
    descriptor = SectionDescriptor()
    descriptor.push(vectors)
    return descriptor


def fit_label_space(files: Sequence[LabelledTexture]) -> LabelModel:
    """Projection and code book; what they say of likeness is still to be learned."""
    rows: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for file in files:
        for start, end, label in file.spans or ((0.0, np.inf, ""),):
            inside = file.vectors[_vector_mask(file, start, end), :STANDARDISED_DIMS]
            whole = inside[: len(inside) // WINDOW_STEPS * WINDOW_STEPS]
            rows.append(whole.reshape(-1, WINDOW_STEPS, STANDARDISED_DIMS).mean(axis=1))
            groups.append(np.full(len(rows[-1]), names.setdefault(f"{file.name} {label}", len(names))))
    blocks = np.concatenate(rows)
    projection = fit_discriminant(blocks, np.concatenate(groups), DIMS)
    none = np.zeros(N_COMPARISON_FEATURES)
    return LabelModel(
        projection, _fit_codebook(blocks @ projection), none, none + 1.0, none, bias=np.array(0.0), edge=np.array(0)
    )


def compare_tracks(files: Sequence[LabelledTexture], model: LabelModel, rng: np.random.Generator) -> Pairs:
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
            fade = max(0, int(rng.integers(0, 16)) - EDGE_VECTORS)  # the longest crossfades outlast what is left out
            other = files[int(rng.integers(len(files)))].vectors[:fade]
            weight = 0.5 + 0.5 * (np.arange(len(other))[:, None] + 1) / (fade + 1)
            part[: len(other)] = weight * part[: len(other)] + (1 - weight) * other
            long.append((at, prepare_descriptor(describe_vectors(file.vectors[start : start + length]), model)))
            short.append((at, prepare_descriptor(describe_vectors(part), model)))
    told, same = [], []
    for one, a in long:
        for other_one, b in short:
            if one == other_one or rng.random() < _SHARE:
                told.append(compare_descriptors(a, b))
                same.append(one == other_one)
    return np.array(told), np.array(same)


def compare_songs(files: Sequence[LabelledTexture], model: LabelModel, rng: np.random.Generator) -> Pairs:
    """Sections of one song against one another."""
    told, same = [np.zeros((0, N_COMPARISON_FEATURES))], []
    for file in files:
        for _ in range(3):
            parts = []
            for start, end in simulate_sections(file, rng):
                label = _majority(file, start, end)
                inside = file.vectors[_vector_mask(file, start, end)]
                if label and len(inside) >= WINDOW_STEPS:
                    parts.append((label, prepare_descriptor(describe_vectors(inside), model)))
            for i, (label, one) in enumerate(parts):
                for other_label, other in parts[:i]:
                    told.append(compare_descriptors(one, other)[None])
                    same.append(label == other_label)
    return np.concatenate(told), np.array(same)


def simulate_sections(file: LabelledTexture, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
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


def train_track_labels(files: Sequence[LabelledTexture]) -> LabelModel:
    """The whole model of tracks in mixes."""
    return train_label_model(files, compare_tracks, edge=EDGE_VECTORS, self_transition=0.1, shares_return_prior=False)


def train_label_model(
    files: Sequence[LabelledTexture],
    pairing: Pairing,
    *,
    edge: int = 0,
    self_transition: float = 0.5,
    shares_return_prior: bool = True,
    halves: int = 2,
) -> LabelModel:
    """The whole model of one kind of sound; edge, stay, shared: see `LabelModel`."""
    rng = np.random.default_rng(0)
    parts = []
    for half in range(halves):
        told_by = [file for i, file in enumerate(files) if i % halves == half]
        learned_on = [file for i, file in enumerate(files) if i % halves != half]
        parts.append(pairing(told_by, fit_label_space(learned_on), rng))
    told, same = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    mean, std = told.mean(axis=0), told.std(axis=0) + 1e-9
    weights, bias = _fit_logistic((told - mean) / std, same)
    # Odds of what was told, not of how often pairs were the same in training.
    bias -= float(np.log(same.mean() / (1.0 - same.mean())))
    learned = fit_label_space(files)
    return LabelModel(
        learned.projection,
        learned.codebook,
        mean,
        std,
        weights,
        bias=np.array(bias),
        edge=np.array(edge),
        self_transition=np.array(self_transition),
        shares_return_prior=np.array(shares_return_prior),
    )


def _fit_logistic(features: Floats, same: Bools) -> tuple[Floats, float]:
    """Maximum likelihood with a ridge."""
    sign = np.where(same, 1.0, -1.0)

    def loss(found: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ found[:-1] + found[-1])
        wrong = 1.0 / (1.0 + np.exp(np.clip(margin, -50, 50)))
        value = np.logaddexp(0.0, -margin).mean() + _RIDGE * (found[:-1] ** 2).sum()
        slope = -(sign * wrong)[:, None] * features
        return float(value), np.append(slope.mean(axis=0) + 2 * _RIDGE * found[:-1], -(sign * wrong).mean())

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found[:-1], float(found[-1])


def _fit_codebook(blocks: Floats) -> Floats:
    """A code book by k-means (Lloyd 1982) from evenly spread seeds."""
    blocks = blocks[:: max(1, len(blocks) // 6000)]
    codebook: Floats = blocks[np.linspace(0, len(blocks) - 1, CODEBOOK_SIZE).astype(int)].copy()
    for _ in range(20):
        nearest = ((blocks[:, None] - codebook[None]) ** 2).sum(axis=2).argmin(axis=1)
        for word in range(CODEBOOK_SIZE):
            if (nearest == word).any():
                codebook[word] = blocks[nearest == word].mean(axis=0)
    return codebook


def _vector_mask(file: LabelledTexture, start: float, end: float) -> Bools:
    at = step_to_time(np.arange(len(file.vectors))) + STEP_S / 2
    inside: Bools = (at >= start) & (at < end)
    return inside


def _majority(file: LabelledTexture, start: float, end: float) -> str | None:
    shares: dict[str, float] = {}
    for first, last, label in file.spans:
        shares[label] = shares.get(label, 0.0) + max(0.0, min(end, last) - max(start, first))
    label = max(shares, key=shares.__getitem__)
    return label if shares[label] > _PURE * (end - start) else None


def load_song_textures(folder: Path) -> list[LabelledTexture]:
    """The songs of a folder, with their sections."""
    return [
        LabelledTexture(
            track.audio.stem, extract_texture(track.audio), tuple((s.start, s.end, s.label) for s in track.segments)
        )
        for track in find_annotated_files(folder, "sections")
    ]


def load_track_textures(folder: Path) -> list[LabelledTexture]:
    """The tracks below a folder, each one of its kind."""
    return [
        LabelledTexture(
            track.name,
            np.array([vector for _, vector in TextureExtractor().push(FeatureExtractor().push(track.samples))]),
        )
        for track in load_tracks(folder)
    ]


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("songs", "tracks"))
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    asked = parser.parse_args()
    read = load_song_textures if asked.kind == "songs" else load_track_textures
    files = [file for folder in asked.folders for file in read(folder)]
    model = train_label_model(files, compare_songs) if asked.kind == "songs" else train_track_labels(files)
    model.save(asked.out)


if __name__ == "__main__":
    main()
