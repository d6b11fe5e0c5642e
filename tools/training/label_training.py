"""Train the label model, which compares two sections: a projection, a codebook and a logistic regression.

    python -m tools.training.label_training songs OUT.npz FOLDER…     sections of one letter, within each song
    python -m tools.training.label_training tracks OUT.npz FOLDER…    parts of one track, among all tracks

Sections of songs are cut as a detector would cut them: shifted, joined to the next one or cut in two. Of each track,
two parts are taken that do not overlap; the first seconds of the shorter part are blended with another track, as at
the end of a crossfade. The projection and the codebook are fitted to other files than those whose pairs train the
regression, so that the regression is trained on distances between unseen files.
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
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.texture import STANDARDISED_DIMS, STEP_S, TextureExtractor
from streamseg.engine.labels.descriptor import WINDOW_STEPS, SectionDescriptor
from streamseg.engine.labels.section_similarity import (
    N_COMPARISON_FEATURES,
    compute_comparison_features,
    prepare_descriptor,
)
from streamseg.engine.models.weights import LabelModel
from streamseg.evaluation.annotations import find_annotated_files
from streamseg.evaluation.discriminant import fit_discriminant
from streamseg.evaluation.tracks import extract_texture, step_to_time
from tools.training.corpora.mixes import load_tracks

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DIMS, CODEBOOK_SIZE = 24, 64
EDGE_VECTORS = 8  # half a crossfade of eight seconds
_RIDGE = 0.003  # weight of the squared weights beside the mean loss
_MIN_MAJORITY = 0.6  # share of a section that must be of one letter
_NEGATIVE_SHARE = 0.3  # of the pairs of different tracks


@dataclass(frozen=True, eq=False)
class LabelledTexture:
    """The texture of a file.

    vectors: shape (n, VECTOR_DIMS). spans: (start, end, label) of its sections, seconds; empty where all of the file
    has one label.
    """

    name: str
    vectors: Floats
    spans: tuple[tuple[float, float, str], ...] = ()


Pairs: TypeAlias = tuple[Floats, Bools]  # comparison features, shape (n, N_COMPARISON_FEATURES); same label?
PairMaker: TypeAlias = Callable[[Sequence[LabelledTexture], LabelModel, np.random.Generator], Pairs]


def describe_vectors(vectors: Floats) -> SectionDescriptor:
    """Compute the descriptor of a section; vectors: shape (n, VECTOR_DIMS)."""
    descriptor = SectionDescriptor()
    descriptor.push(vectors)
    return descriptor


def fit_label_space(files: Sequence[LabelledTexture]) -> LabelModel:
    """Fit projection and codebook; the weights of the comparison features are still 0."""
    rows: list[Floats] = []
    groups: list[NDArray[np.int64]] = []
    names: dict[str, int] = {}
    for file in files:
        for start, end, label in file.spans or ((0.0, np.inf, ""),):
            inside = file.vectors[_vector_mask(file, start, end), :STANDARDISED_DIMS]
            windows = inside[: len(inside) // WINDOW_STEPS * WINDOW_STEPS]
            rows.append(windows.reshape(-1, WINDOW_STEPS, STANDARDISED_DIMS).mean(axis=1))
            groups.append(np.full(len(rows[-1]), names.setdefault(f"{file.name} {label}", len(names))))
    means = np.concatenate(rows)
    projection = fit_discriminant(means, np.concatenate(groups), DIMS)
    zeros = np.zeros(N_COMPARISON_FEATURES)
    return LabelModel(
        projection, fit_codebook(means @ projection), zeros, zeros + 1.0, zeros, bias=np.array(0.0), edge=np.array(0)
    )


def compare_tracks(files: Sequence[LabelledTexture], model: LabelModel, rng: np.random.Generator) -> Pairs:
    """Compare long parts of tracks with short parts."""
    long, short = [], []
    for track, file in enumerate(files):
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
            fade = max(0, int(rng.integers(0, 16)) - EDGE_VECTORS)  # the longest crossfades are longer than the edge
            other = files[int(rng.integers(len(files)))].vectors[:fade]
            weight = 0.5 + 0.5 * (np.arange(len(other))[:, None] + 1) / (fade + 1)
            part[: len(other)] = weight * part[: len(other)] + (1 - weight) * other
            long.append((track, prepare_descriptor(describe_vectors(file.vectors[start : start + length]), model)))
            short.append((track, prepare_descriptor(describe_vectors(part), model)))
    features, same = [], []
    for long_track, a in long:
        for short_track, b in short:
            if long_track == short_track or rng.random() < _NEGATIVE_SHARE:
                features.append(compute_comparison_features(a, b))
                same.append(long_track == short_track)
    return np.array(features), np.array(same)


def compare_songs(files: Sequence[LabelledTexture], model: LabelModel, rng: np.random.Generator) -> Pairs:
    """Compare the sections of each song with one another."""
    features, same = [np.zeros((0, N_COMPARISON_FEATURES))], []
    for file in files:
        for _ in range(3):
            parts = []
            for start, end in simulate_sections(file, rng):
                label = _majority_label(file, start, end)
                inside = file.vectors[_vector_mask(file, start, end)]
                if label and len(inside) >= WINDOW_STEPS:
                    parts.append((label, prepare_descriptor(describe_vectors(inside), model)))
            for i, (label, one) in enumerate(parts):
                for other_label, other in parts[:i]:
                    features.append(compute_comparison_features(one, other)[None])
                    same.append(label == other_label)
    return np.concatenate(features), np.array(same)


def simulate_sections(file: LabelledTexture, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield (start, end) of a song's sections as a detector would find them, seconds.

    Some boundaries are missed, some misplaced, some false.
    """
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
    """Train the label model of mixes; files: one for each track."""
    return train_label_model(files, compare_tracks, edge=EDGE_VECTORS, self_transition=0.1, shares_return_prior=False)


def train_label_model(
    files: Sequence[LabelledTexture],
    make_pairs: PairMaker,
    *,
    edge: int = 0,
    self_transition: float = 0.5,
    shares_return_prior: bool = True,
    halves: int = 2,
) -> LabelModel:
    """Train a label model.

    edge, self_transition, shares_return_prior: see `LabelModel`. halves: number of parts of the files; the pairs of
    each part are compared in the projection that is fitted to the other parts.
    """
    rng = np.random.default_rng(0)
    parts = []
    for half in range(halves):
        pair_files = [file for i, file in enumerate(files) if i % halves == half]
        space_files = [file for i, file in enumerate(files) if i % halves != half]
        parts.append(make_pairs(pair_files, fit_label_space(space_files), rng))
    features, same = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-9
    weights, bias = fit_similarity((features - mean) / std, same)
    # The log-odds of the features alone, without the share of equal pairs in training.
    bias -= float(np.log(same.mean() / (1.0 - same.mean())))
    space = fit_label_space(files)
    return LabelModel(
        space.projection,
        space.codebook,
        mean,
        std,
        weights,
        bias=np.array(bias),
        edge=np.array(edge),
        self_transition=np.array(self_transition),
        shares_return_prior=np.array(shares_return_prior),
    )


def fit_similarity(features: Floats, same: Bools) -> tuple[Floats, float]:
    """Fit a logistic regression with a ridge: weights, shape (n_features,), and bias."""
    regression = LogisticRegression(C=1 / (2 * _RIDGE * len(same)), tol=1e-6, max_iter=500).fit(features, same)
    return regression.coef_[0], float(regression.intercept_[0])


def fit_codebook(vectors: Floats) -> Floats:
    """Fit a codebook by k-means (Lloyd 1982) from evenly spaced vectors; shape (CODEBOOK_SIZE, dims)."""
    vectors = vectors[:: max(1, len(vectors) // 6000)]
    seeds = vectors[np.linspace(0, len(vectors) - 1, CODEBOOK_SIZE).astype(int)]
    codebook: Floats = KMeans(CODEBOOK_SIZE, init=seeds, n_init=1, max_iter=20, tol=0).fit(vectors).cluster_centers_
    return codebook


def _vector_mask(file: LabelledTexture, start: float, end: float) -> Bools:
    at = step_to_time(np.arange(len(file.vectors))) + STEP_S / 2
    inside: Bools = (at >= start) & (at < end)
    return inside


def _majority_label(file: LabelledTexture, start: float, end: float) -> str | None:
    shares: dict[str, float] = {}
    for first, last, label in file.spans:
        shares[label] = shares.get(label, 0.0) + max(0.0, min(end, last) - max(start, first))
    label = max(shares, key=shares.__getitem__)
    return label if shares[label] > _MIN_MAJORITY * (end - start) else None


def load_song_textures(folder: Path) -> list[LabelledTexture]:
    """Compute the textures of the songs of a folder, with their sections."""
    return [
        LabelledTexture(
            track.audio.stem, extract_texture(track.audio), tuple((s.start, s.end, s.label) for s in track.segments)
        )
        for track in find_annotated_files(folder, "sections")
    ]


def load_track_textures(folder: Path) -> list[LabelledTexture]:
    """Compute the textures of the tracks below a folder."""
    return [
        LabelledTexture(
            track.name,
            np.array([vector for _, vector in TextureExtractor().push(FeatureExtractor().push(track.samples))]),
        )
        for track in load_tracks(folder)
    ]


def main() -> None:
    """Train and write a label model."""
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
