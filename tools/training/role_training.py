"""Train the guess of a section's role, and say how often it is right on songs that were left out.

    python -m tools.training.role_training SONGS OUT.npz --folds FOLDS

SONGS have sections in POP909's letters: `i` is an intro, `o` an outro, `A` what is sung first (verse-like), `B` and `C`
what is sung next (chorus-like), everything else of a known letter bridge-like: our rule, not the annotators'. FOLDS is
what `train_shipped songs` left: boundaries and labels are those of models that have not heard the song.
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
from scipy.optimize import minimize

from streamseg.engine.labels.roles import ROLES, RoleClassifier
from streamseg.engine.models.weights import read_boundary_model
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files
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
Row: TypeAlias = tuple[str, int, Floats]  # song, role, numbers

_LETTERS = {"i": 0, "A": 1, "B": 2, "C": 2, "b": 3, "x": 3, "X": 3, "o": 4}
_RIDGE = 1.7


def collect_rows(
    truth: AnnotatedFile, song: LabelledTexture, sections: Sequence[tuple[float, float, str]]
) -> list[Row]:
    """What is known of each section, and what it is."""
    roles, at, found = RoleClassifier(), step_to_time(np.arange(len(song.vectors))), list[Row]()
    for start, end, label in sorted(sections):
        inside = song.vectors[(at >= start) & (at < end)]
        if len(inside) == 0:
            continue
        numbers = roles.describe_section(describe_vectors(inside), label, start, end)
        span = max(truth.segments, key=lambda span: min(end, span.end) - max(start, span.start))
        if span.label in _LETTERS:
            found.append((song.name, _LETTERS[span.label], numbers))
    return found


def fit_roles(numbers: Floats, roles: NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean and deviation of the numbers, weights (numbers, roles), bias: maximum likelihood with a ridge."""
    mean, std = numbers.mean(axis=0), numbers.std(axis=0) + 1e-9
    told, true = (numbers - mean) / std, np.eye(len(ROLES))[roles]
    shape = (told.shape[1] + 1, len(ROLES))
    known = np.column_stack([told, np.ones(len(told))])

    def loss(flat: Floats) -> tuple[float, Floats]:
        found = flat.reshape(shape)
        odds = known @ found
        odds -= odds.max(axis=1, keepdims=True)
        chances = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        ridge = _RIDGE * np.vstack([found[:-1], np.zeros(shape[1])])
        value = -np.log((chances * true).sum(axis=1)).sum() + (ridge * found).sum()
        return float(value), (known.T @ (chances - true) + 2 * ridge).ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x.reshape(shape)
    return mean, std, found[:-1], found[-1]


def cross_validate(rows: Sequence[Row]) -> str:
    """How often the guess, the commonest role, and that with an intro first, are right on songs left out."""
    names = np.array([row[0] for row in rows])
    roles, numbers = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    right = np.zeros((3, len(rows)))
    said = np.zeros(len(rows))
    for name in np.unique(names):
        rest, mine = names != name, names == name
        mean, std, weights, bias = fit_roles(numbers[rest], roles[rest])
        odds = (numbers[mine] - mean) / std @ weights + bias
        chances = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        common = np.bincount(roles[rest]).argmax()
        right[0, mine] = chances.argmax(axis=1) == roles[mine]
        right[1, mine] = common == roles[mine]
        right[2, mine] = np.where(numbers[mine, 0] == 1, 0, common) == roles[mine]
        said[mine] = chances.max(axis=1)
    guess, common, intro = right.mean(axis=1)
    by_song = np.array([(right[0] - right[2])[names == name].mean() for name in np.unique(names)])
    drawn = np.random.default_rng(0).choice(by_song, (5000, len(by_song))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return (
        f"{len(rows)} sections: right {guess:.2f} (thought {said.mean():.2f}), the commonest role {common:.2f}, "
        f"an intro first {intro:.2f}; better than that by {low:.2f} to {high:.2f}, by song"
    )


def main() -> None:
    """Measure, train on all, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=Path, required=True)
    asked = parser.parse_args()
    settings, classifier_of = (
        make_settings("music"),
        json.loads((asked.folds / "folds.json").read_text(encoding="utf-8")),
    )
    truths = {truth.audio.stem: truth for truth in find_annotated_files(asked.songs, "sections")}
    songs, rows = load_song_textures(asked.songs), list[Row]()
    for classifier in sorted(set(classifier_of.values())):
        model = train_label_model([song for song in songs if classifier_of[song.name] != classifier], compare_songs)
        changes = read_boundary_model((asked.folds / classifier).read_bytes(), classifier)
        for song in (song for song in songs if classifier_of[song.name] == classifier):
            heard, _ = label_sections(song.vectors, detect_boundaries(song.vectors, settings, changes), settings, model)
            rows += collect_rows(truths[song.name], song, list(heard.sections.values()))
    sys.stdout.write(cross_validate(rows) + "\n")
    arrays = fit_roles(np.array([row[2] for row in rows]), np.array([row[1] for row in rows]))
    np.savez_compressed(
        asked.out,
        **{name: np.round(array, 4) for name, array in zip(("mean", "std", "weights", "bias"), arrays, strict=True)},
    )


if __name__ == "__main__":
    main()
