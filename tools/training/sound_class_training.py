"""Train the network that hears speech and music, and say how good it is on what it has not heard.

    python -m tools.training.sound_class_training OUT.npz LESSONS… [--held-out FOLDER] [--frames DIR]

LESSONS and FOLDER are folders of annotated programmes (`NAME.segments.tsv`, `NAME.sources.tsv`); lessons are made by
`tools.training.corpora.programmes --lessons`. For every programme of FOLDER a network is trained on all
programmes that share no voice, track or noise with it, and scored on it as the engine runs, calibrated on the other
programmes of FOLDER. The network written to OUT has heard everything, and is calibrated as the held-out ones need it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.sound_class.classifier import SoundClassifier
from streamseg.engine.sound_class.network import (
    CONTEXT_WINDOWS,
    DECISION_LAG,
    MEAN_DECAYS,
    SpeechMusicNetwork,
    SpeechMusicWeights,
)
from streamseg.engine.sound_class.window_features import (
    CONTEXT_FRAMES,
    N_STATISTICS,
    TOTAL_FRAMES,
    WINDOW_FRAMES,
    describe_window,
)
from streamseg.evaluation import sound_class_scores
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files, read_spans
from streamseg.evaluation.tracks import extract_frames
from streamseg.settings import ENGINE_RATE, FRAME, HOP, make_settings
from streamseg.wire.events import SoundChanged
from tools.training.corpora.material import normalise_name

Floats = NDArray[np.float32]

HIDDEN_UNITS, SECOND_LAYER_UNITS = 32, 48
_LENGTH = 240  # blocks of a lesson
_BATCH = 12
_STEP = 2e-3
_DECAY = 3e-4
_DROPOUT = 0.15  # of the second layer's inputs
_EDGE = 0.85  # a block with less of one truth than this is told as it is, and weighs less
_IGNORED_SOURCES = {"dead_air", "tune"}  # sources that are made anew each time

# Added to the log-odds of speech and music: lessons are harder than programmes, so held-out networks hear speech in
# noise, and no music far beneath talk. Two numbers, chosen on their figures.
LOG_ODDS_OFFSET = np.array([-0.7, 0.5])


@dataclass(frozen=True, eq=False)
class TrainingProgramme:
    """A programme as the network is told it: described blocks, and how much of each was speech and music."""

    truth: AnnotatedFile
    features: Floats  # (blocks, STATS)
    targets: Floats  # (blocks, 2)
    sources: frozenset[str]


def describe_programme(file: AnnotatedFile, frames: NDArray[np.float64]) -> TrainingProgramme:
    """Describe a programme's frames and lay the truth beside them."""
    padded = np.concatenate([np.repeat(frames[:1], CONTEXT_FRAMES, axis=0), frames])
    blocks = len(frames) // WINDOW_FRAMES
    stats = np.empty((blocks, N_STATISTICS))
    for i in range(blocks):
        describe_window(padded[i * WINDOW_FRAMES : i * WINDOW_FRAMES + TOTAL_FRAMES], stats[i])
    t = ((np.arange(blocks * WINDOW_FRAMES) + 0.5) * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    which = np.searchsorted([span.start for span in file.segments], t, side="right") - 1
    kinds = np.array([sound_class_scores.TRUTH_CLASSES[span.label][:2] for span in file.segments], np.float32)
    answers = kinds[np.maximum(which, 0)].reshape(blocks, WINDOW_FRAMES, 2).mean(axis=1)
    listed = file.audio.with_suffix(".sources.tsv")
    sources = frozenset(normalise_name(span.label) for span in read_spans(listed)) if listed.exists() else frozenset()
    return TrainingProgramme(file, stats.astype(np.float32), answers, sources - _IGNORED_SOURCES)


def load_frames(file: AnnotatedFile, cache: Path | None) -> NDArray[np.float64]:
    """The programme's feature frames, remembered in a folder where one is given."""
    path = cache / f"{file.audio.parent.name}_{file.audio.stem}.npy" if cache else None
    if path is not None and path.exists():
        kept_frames: NDArray[np.float64] = np.load(path).astype(np.float64)
        return kept_frames
    frames = np.concatenate(list(extract_frames(file.audio)))
    if path is not None:
        np.save(path, frames.astype(np.float32))
    return frames


def _running_mean_matrices(length: int) -> Floats:
    """The running means as matrices over blocks, shape (means, length, length); before the first it was as in it."""
    t = np.arange(length)
    age = t[:, None] - t[None, :]
    rows = []
    for fading in MEAN_DECAYS:
        matrix = np.where(age >= 0, (1 - fading) * fading ** np.maximum(age, 0), 0.0)
        matrix[:, 0] = fading**t
        rows.append(matrix)
    return np.array(rows, np.float32)


class NetworkTrainer:
    """One network in training: forward, backward and Adam (Kingma & Ba 2015), in NumPy."""

    def __init__(self, programmes: list[TrainingProgramme], seed: int) -> None:
        """Raises ValueError when no lesson is long enough."""
        self._rng = np.random.default_rng(seed)
        self._programmes = [lesson for lesson in programmes if len(lesson.features) > _LENGTH // 4]
        if not self._programmes:
            raise ValueError("nothing to learn from: every lesson shares a source with what is held out, or is short")
        told = np.concatenate([lesson.features for lesson in self._programmes])
        self._mean, self._std = told.mean(axis=0), told.std(axis=0) + 1e-3
        rows = CONTEXT_WINDOWS + len(MEAN_DECAYS)
        shapes = (
            (N_STATISTICS, HIDDEN_UNITS),
            (HIDDEN_UNITS,),
            (HIDDEN_UNITS * rows, SECOND_LAYER_UNITS),
            (SECOND_LAYER_UNITS,),
            (SECOND_LAYER_UNITS, 2),
            (2,),
        )
        self.weights = [
            (self._rng.standard_normal(shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)
            if len(shape) == 2
            else np.zeros(shape, np.float32)
            for shape in shapes
        ]
        self._mean_matrices = _running_mean_matrices(_LENGTH)

    def train(self, epochs: int) -> SpeechMusicWeights:
        """Train, and give the network."""
        moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self.weights]
        steps = max(1, sum(len(lesson.features) for lesson in self._programmes) // (_LENGTH * _BATCH))
        for step in range(epochs * steps):
            rate = _STEP * 0.5 * (1 + np.cos(np.pi * step / (epochs * steps)))
            slopes = self._gradients(*self._draw_batch())
            for w, (first, second), slope in zip(self.weights, moments, slopes, strict=True):
                first += 0.1 * (slope - first)
                second += 0.002 * (slope**2 - second)
                fair = np.sqrt(second / (1 - 0.998 ** (step + 1))) + 1e-7
                w -= rate * (first / (1 - 0.9 ** (step + 1)) / fair + (_DECAY * 50 * w if w.ndim == 2 else 0.0))
        return self.to_weights()

    def to_weights(self) -> SpeechMusicWeights:
        """What was learned."""
        return SpeechMusicWeights(
            self._mean.astype(np.float64), self._std.astype(np.float64), *map(_to_float64, self.weights)
        )

    def _draw_batch(self) -> tuple[Floats, Floats]:
        told = np.empty((_BATCH, _LENGTH, N_STATISTICS), np.float32)
        answers = np.empty((_BATCH, _LENGTH, 2), np.float32)
        sizes = np.array([len(lesson.features) for lesson in self._programmes], float)
        for i, which in enumerate(self._rng.choice(len(sizes), _BATCH, p=sizes / sizes.sum())):
            lesson = self._programmes[which]
            start = int(self._rng.integers(0, max(1, len(lesson.features) - _LENGTH + 1)))
            taken = np.minimum(np.arange(start, start + _LENGTH), len(lesson.features) - 1)
            told[i], answers[i] = lesson.features[taken], lesson.targets[taken]
        told = np.clip((told - self._mean) / self._std, -4.0, 4.0)
        told += 0.1 * self._rng.standard_normal(told.shape, np.float32)
        return told, answers

    def _gradients(self, features: Floats, answers: Floats) -> list[Floats]:
        """The gradient of the cross entropy over a batch."""
        w1, b1, w2, b2, w3, b3 = self.weights
        n, length = features.shape[:2]
        seen = np.maximum(features @ w1 + b1, 0.0)
        before = np.concatenate([np.repeat(seen[:, :1], CONTEXT_WINDOWS - 1, axis=1), seen], axis=1)
        parts = [before[:, j : j + length] for j in range(CONTEXT_WINDOWS)] + [f @ seen for f in self._mean_matrices]
        context = np.concatenate(parts, axis=2)
        kept = (self._rng.random((n, 1, context.shape[2]), np.float32) > _DROPOUT) / np.float32(1 - _DROPOUT)
        context *= kept
        second = np.maximum(context @ w2 + b2, 0.0)
        odds = second @ w3 + b3
        right = np.zeros_like(odds)
        right[:, DECISION_LAG:] = answers[:, :-DECISION_LAG]
        weight = np.where(np.abs(right - 0.5) > _EDGE - 0.5, 1.0, 0.4).astype(np.float32)
        weight[:, :DECISION_LAG] = 0.0
        slope = weight * (1 / (1 + np.exp(-odds)) - right) / (n * length)
        flat = slope.reshape(-1, 2)
        d3 = second.reshape(-1, SECOND_LAYER_UNITS).T @ flat
        back = (slope @ w3.T) * (second > 0)
        d2 = context.reshape(-1, context.shape[2]).T @ back.reshape(-1, SECOND_LAYER_UNITS)
        through = (back @ w2.T) * kept
        hidden = np.zeros_like(before)
        for j in range(CONTEXT_WINDOWS):
            hidden[:, j : j + length] += through[:, :, j * HIDDEN_UNITS : (j + 1) * HIDDEN_UNITS]
        first = hidden[:, CONTEXT_WINDOWS - 1 :].copy()
        first[:, 0] += hidden[:, : CONTEXT_WINDOWS - 1].sum(axis=1)
        for i, f in enumerate(self._mean_matrices):
            first += (
                f.T @ through[:, :, (CONTEXT_WINDOWS + i) * HIDDEN_UNITS : (CONTEXT_WINDOWS + i + 1) * HIDDEN_UNITS]
            )
        first *= seen > 0
        d1 = features.reshape(-1, N_STATISTICS).T @ first.reshape(-1, HIDDEN_UNITS)
        return [
            d1, first.sum(axis=(0, 1)), d2, back.reshape(-1, SECOND_LAYER_UNITS).sum(axis=0), d3, flat.sum(axis=0)
        ]  # fmt: skip


def predict_sound_class(frames: NDArray[np.float64], network: SpeechMusicWeights) -> tuple[SoundChanged, ...]:
    """What the engine says of a programme's frames."""
    return tuple(SoundClassifier(make_settings("broadcast"), network).push(frames))


def predict_log_odds(programme: TrainingProgramme, network: SpeechMusicWeights) -> NDArray[np.float64]:
    """The log-odds of speech and music a network gives, block by block, shape (blocks, 2)."""
    listener = SpeechMusicNetwork(network)
    return np.array([listener.push(stats.astype(np.float64)) for stats in programme.features])


def fit_temperature(odds: NDArray[np.float64], answers: NDArray[np.float64]) -> float:
    """What to divide log-odds by so that they are as sure as they are right: least cross entropy (Guo et al. 2017)."""
    tried = np.geomspace(0.4, 4.0, 60)
    losses = [np.mean(np.logaddexp(0, odds / t) - answers * odds / t) for t in tried]
    return float(tried[int(np.argmin(losses))])


def calibrate_network(
    network: SpeechMusicWeights, odds: list[NDArray[np.float64]], answers: list[Floats]
) -> SpeechMusicWeights:
    """The network at the temperature that others' log-odds and answers, shape (blocks, 2), ask for; leaning."""
    told, right = np.concatenate(odds), np.concatenate(answers).astype(np.float64)
    cool = 1 / np.array([fit_temperature(told[:, k], right[:, k]) for k in range(2)])
    return network._replace(w3=network.w3 * cool, b3=network.b3 * cool + LOG_ODDS_OFFSET)


def train_held_out(
    programmes: list[TrainingProgramme], tests: list[TrainingProgramme], cache: Path | None, epochs: int
) -> list[SpeechMusicWeights]:
    """For each programme a network that was trained without its sources."""
    networks = []
    for test in tests:
        network = NetworkTrainer([each for each in programmes if not each.sources & test.sources], 0).train(epochs)
        if cache is not None:
            np.savez(cache / f"without_{test.truth.audio.stem}.npz", **network._asdict())
        networks.append(network)
    return networks


def _to_float64(array: Floats) -> NDArray[np.float64]:
    return array.astype(np.float64)


def main() -> None:
    """Score held-out networks, then write one that has heard everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("lessons", type=Path, nargs="+")
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--frames", type=Path, help="where to keep features between runs")
    parser.add_argument("--epochs", type=int, default=30)
    asked = parser.parse_args()
    if asked.frames:
        asked.frames.mkdir(parents=True, exist_ok=True)
    files = [file for folder in asked.lessons for file in find_annotated_files(folder, "segments")]
    lessons = [describe_programme(file, load_frames(file, asked.frames)) for file in files]
    network = NetworkTrainer(lessons, 0).train(asked.epochs)
    if asked.held_out:
        files = find_annotated_files(asked.held_out, "segments")
        frames = [load_frames(file, asked.frames) for file in files]
        tests = [describe_programme(file, heard) for file, heard in zip(files, frames, strict=True)]
        networks = train_held_out(lessons, tests, asked.frames, asked.epochs)
        odds = [predict_log_odds(test, each)[DECISION_LAG:] for test, each in zip(tests, networks, strict=True)]
        answers = [test.targets[:-DECISION_LAG] for test in tests]
        judged = []
        for i, file in enumerate(files):
            others = [k for k in range(len(files)) if k != i] or [i]
            fair = calibrate_network(networks[i], [odds[k] for k in others], [answers[k] for k in others])
            judged.append(sound_class_scores.ScoredProgramme(file.segments, predict_sound_class(frames[i], fair)))
            sys.stderr.write(f"{file.audio.stem}: {_format_summary(judged[-1:])}\n")
        sys.stderr.write(f"held out: {_format_summary(judged)}\n")
        network = calibrate_network(network, odds, answers)
    np.savez_compressed(asked.out, **network._asdict())


def _format_summary(programmes: list[sound_class_scores.ScoredProgramme]) -> str:
    return "; ".join(f"{what} {value}" for what, value, _ in sound_class_scores.summarise_sound_class(programmes))


if __name__ == "__main__":
    main()
