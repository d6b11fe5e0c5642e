"""Train the role classifier, and print its accuracy on songs that were left out.

    python -m tools.training.role_training SONGS OUT.npz --folds FOLDS

SONGS have sections with the letters of POP909: `i` intro, `o` outro, `A` the first sung part (verse-like), `B` and `C`
the next ones (chorus-like), any other known letter bridge-like. The rule is ours, not the annotators'. FOLDS is
written by `tools.training.shipped_models songs`: boundaries and labels come from models that were trained without the
song.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from streamseg.engine.labels.roles import ROLES, SongRoleClassifier
from streamseg.engine.models.weights import read_boundary_model
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files
from streamseg.evaluation.scores import bootstrap_interval
from streamseg.evaluation.tracks import step_to_time
from streamseg.settings import make_settings
from tools.comparison.clusterers import detect_boundaries, label_sections
from tools.training.label_training import (
    LabelledTexture,
    compare_songs,
    describe_vectors,
    load_song_textures,
    train_label_model,
)

Floats = NDArray[np.float64]
RoleExample: TypeAlias = tuple[str, int, Floats]  # song, role (index in ROLES), features

_LETTERS = {"i": 0, "A": 1, "B": 2, "C": 2, "b": 3, "x": 3, "X": 3, "o": 4}
_RIDGE = 1.7  # weight of the squared weights beside the sum of the losses


def collect_examples(
    truth: AnnotatedFile, song: LabelledTexture, sections: Sequence[tuple[float, float, str]]
) -> list[RoleExample]:
    """Describe the sections (start, end, label) of a song; their roles are those of the annotation."""
    classifier, at = SongRoleClassifier(), step_to_time(np.arange(len(song.vectors)))
    examples: list[RoleExample] = []
    for start, end, label in sorted(sections):
        inside = song.vectors[(at >= start) & (at < end)]
        if len(inside) == 0:
            continue
        features = classifier.add_section_and_compute_features(describe_vectors(inside), label, start, end)
        span = max(truth.segments, key=lambda span: min(end, span.end) - max(start, span.start))
        if span.label in _LETTERS:
            examples.append((song.name, _LETTERS[span.label], features))
    return examples


def fit_roles(features: Floats, roles: NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
    """Fit a multinomial logistic regression with a ridge.

    Parameters
    ----------
    features
        Shape (n, N_ROLE_FEATURES).
    roles
        Shape (n,), indices in ROLES. Every role must occur.

    Returns
    -------
    tuple
        Mean and standard deviation of the features, weights of shape (N_ROLE_FEATURES, len(ROLES)), bias.
    """
    if len(np.unique(roles)) < len(ROLES):
        raise ValueError(f"every role must occur: {', '.join(ROLES)}")
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-9
    regression = LogisticRegression(C=1 / (2 * _RIDGE), max_iter=1000).fit((features - mean) / std, roles)
    return mean, std, regression.coef_.T, regression.intercept_


def cross_validate(examples: Sequence[RoleExample]) -> str:
    """Describe the accuracy on left-out songs: of the classifier, of the commonest role, of that after an intro."""
    names = np.array([name for name, _, _ in examples])
    roles, features = np.array([role for _, role, _ in examples]), np.array([row for _, _, row in examples])
    correct = np.zeros((3, len(examples)))
    confidence = np.zeros(len(examples))
    for name in np.unique(names):
        train, test = names != name, names == name
        mean, std, weights, bias = fit_roles(features[train], roles[train])
        probabilities = softmax((features[test] - mean) / std @ weights + bias, axis=1)
        commonest = np.bincount(roles[train]).argmax()
        correct[0, test] = probabilities.argmax(axis=1) == roles[test]
        correct[1, test] = commonest == roles[test]
        correct[2, test] = np.where(features[test, 0] == 1, 0, commonest) == roles[test]
        confidence[test] = probabilities.max(axis=1)
    accuracy, commonest_accuracy, intro_accuracy = correct.mean(axis=1)
    low, high = bootstrap_interval(
        [float((correct[0] - correct[2])[names == name].mean()) for name in np.unique(names)]
    )
    return (
        f"{len(examples)} sections: accuracy {accuracy:.2f} (mean confidence {confidence.mean():.2f}), commonest role "
        f"{commonest_accuracy:.2f}, commonest role after an intro {intro_accuracy:.2f}; gain over the last "
        f"{low:.2f} to {high:.2f}, by song"
    )


def main() -> None:
    """Cross-validate, then train on all songs and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=Path, required=True)
    asked = parser.parse_args()
    settings = make_settings("music")
    classifier_of = json.loads((asked.folds / "folds.json").read_text(encoding="utf-8"))
    truths = {truth.audio.stem: truth for truth in find_annotated_files(asked.songs, "sections")}
    songs = load_song_textures(asked.songs)
    examples: list[RoleExample] = []
    for classifier in sorted(set(classifier_of.values())):
        label_model = train_label_model(
            [song for song in songs if classifier_of[song.name] != classifier], compare_songs
        )
        boundary_model = read_boundary_model((asked.folds / classifier).read_bytes(), classifier)
        for song in (song for song in songs if classifier_of[song.name] == classifier):
            boundaries = detect_boundaries(song.vectors, settings, boundary_model)
            history, _ = label_sections(song.vectors, boundaries, settings, label_model)
            examples += collect_examples(truths[song.name], song, list(history.sections.values()))
    sys.stdout.write(cross_validate(examples) + "\n")
    arrays = fit_roles(np.array([row for _, _, row in examples]), np.array([role for _, role, _ in examples]))
    mean, std, weights, bias = (np.round(array, 4) for array in arrays)
    np.savez_compressed(asked.out, mean=mean, std=std, weights=weights, bias=bias)


if __name__ == "__main__":
    main()
