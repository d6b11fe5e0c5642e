"""Train the network that hears speech and music, and say how good it is on what it has not heard.

    python -m streamseg.evaluation.train_sound OUT.npz LESSONS… [--held-out FOLDER] [--frames DIR]

LESSONS and FOLDER are folders of annotated programmes (`NAME.segments.tsv`, `NAME.sources.tsv`); lessons are made by
`streamseg.evaluation.generated.programmes --lessons`. For every programme of FOLDER a network is trained on all
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

from streamseg.engine.models.sound import Network
from streamseg.engine.sound import Sound
from streamseg.engine.sound.describing import BLOCK, REACH, SPAN, STATS, describe
from streamseg.engine.sound.network import CONTEXT, FADING, LAG, Listener
from streamseg.evaluation import sound_class
from streamseg.evaluation.annotations import Annotated, annotated_files, read_spans
from streamseg.evaluation.generated.material import spelt
from streamseg.evaluation.tracks import frames_of
from streamseg.events import SoundChanged
from streamseg.settings import ENGINE_RATE, FRAME, HOP, settings_for

Floats = NDArray[np.float32]

HIDDEN, WIDE = 32, 48
_LENGTH = 240  # blocks of a lesson
_BATCH = 12
_STEP = 2e-3
_DECAY = 3e-4
_DROPPED = 0.15  # of the second layer's inputs
_EDGE = 0.85  # a block with less of one truth than this is told as it is, and weighs less
_NOTHING = {"dead_air", "tune"}  # sources that are made anew each time

# Added to the log-odds of speech and music: lessons are harder than programmes, so held-out networks hear speech in
# noise, and no music far beneath talk. Two numbers, chosen on their figures.
LEANING = np.array([-0.7, 0.5])


@dataclass(frozen=True, eq=False)
class Lesson:
    """A programme as the network is told it: described blocks, and how much of each was speech and music."""

    truth: Annotated
    stats: Floats  # (blocks, STATS)
    answers: Floats  # (blocks, 2)
    sources: frozenset[str]


def lesson_of(file: Annotated, frames: NDArray[np.float64]) -> Lesson:
    """Describe a programme's frames and lay the truth beside them."""
    padded = np.concatenate([np.repeat(frames[:1], REACH, axis=0), frames])
    blocks = len(frames) // BLOCK
    stats = np.empty((blocks, STATS))
    for i in range(blocks):
        describe(padded[i * BLOCK : i * BLOCK + SPAN], stats[i])
    t = ((np.arange(blocks * BLOCK) + 0.5) * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    which = np.searchsorted([span.start for span in file.segments], t, side="right") - 1
    kinds = np.array([sound_class.CLASSES[span.label][:2] for span in file.segments], np.float32)
    answers = kinds[np.maximum(which, 0)].reshape(blocks, BLOCK, 2).mean(axis=1)
    listed = file.audio.with_suffix(".sources.tsv")
    sources = frozenset(spelt(span.label) for span in read_spans(listed)) if listed.exists() else frozenset()
    return Lesson(file, stats.astype(np.float32), answers, sources - _NOTHING)


def frames_kept(file: Annotated, kept: Path | None) -> NDArray[np.float64]:
    """The programme's feature frames, remembered in a folder where one is given."""
    path = kept / f"{file.audio.parent.name}_{file.audio.stem}.npy" if kept else None
    if path is not None and path.exists():
        kept_frames: NDArray[np.float64] = np.load(path).astype(np.float64)
        return kept_frames
    frames = np.concatenate(list(frames_of(file.audio)))
    if path is not None:
        np.save(path, frames.astype(np.float32))
    return frames


def _fading(length: int) -> Floats:
    """The running means as matrices over blocks, shape (means, length, length); before the first it was as in it."""
    t = np.arange(length)
    age = t[:, None] - t[None, :]
    rows = []
    for fading in FADING:
        matrix = np.where(age >= 0, (1 - fading) * fading ** np.maximum(age, 0), 0.0)
        matrix[:, 0] = fading**t
        rows.append(matrix)
    return np.array(rows, np.float32)


class Trainer:
    """One network in training: forward, backward and Adam (Kingma & Ba 2015), in NumPy."""

    def __init__(self, lessons: list[Lesson], seed: int) -> None:
        """Raises ValueError when no lesson is long enough."""
        self._rng = np.random.default_rng(seed)
        self._lessons = [lesson for lesson in lessons if len(lesson.stats) > _LENGTH // 4]
        if not self._lessons:
            raise ValueError("nothing to learn from: every lesson shares a source with what is held out, or is short")
        told = np.concatenate([lesson.stats for lesson in self._lessons])
        self._mean, self._deviation = told.mean(axis=0), told.std(axis=0) + 1e-3
        rows = CONTEXT + len(FADING)
        shapes = ((STATS, HIDDEN), (HIDDEN,), (HIDDEN * rows, WIDE), (WIDE,), (WIDE, 2), (2,))
        self.weights = [
            (self._rng.standard_normal(shape) * np.sqrt(2.0 / shape[0])).astype(np.float32)
            if len(shape) == 2
            else np.zeros(shape, np.float32)
            for shape in shapes
        ]
        self._fading = _fading(_LENGTH)

    def run(self, epochs: int) -> Network:
        """Train, and give the network."""
        moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self.weights]
        steps = max(1, sum(len(lesson.stats) for lesson in self._lessons) // (_LENGTH * _BATCH))
        for step in range(epochs * steps):
            rate = _STEP * 0.5 * (1 + np.cos(np.pi * step / (epochs * steps)))
            slopes = self._slopes(*self._batch())
            for w, (first, second), slope in zip(self.weights, moments, slopes, strict=True):
                first += 0.1 * (slope - first)
                second += 0.002 * (slope**2 - second)
                fair = np.sqrt(second / (1 - 0.998 ** (step + 1))) + 1e-7
                w -= rate * (first / (1 - 0.9 ** (step + 1)) / fair + (_DECAY * 50 * w if w.ndim == 2 else 0.0))
        return self.network()

    def network(self) -> Network:
        """What was learned."""
        return Network(self._mean.astype(np.float64), self._deviation.astype(np.float64), *map(_doubled, self.weights))

    def _batch(self) -> tuple[Floats, Floats]:
        told = np.empty((_BATCH, _LENGTH, STATS), np.float32)
        answers = np.empty((_BATCH, _LENGTH, 2), np.float32)
        sizes = np.array([len(lesson.stats) for lesson in self._lessons], float)
        for i, which in enumerate(self._rng.choice(len(sizes), _BATCH, p=sizes / sizes.sum())):
            lesson = self._lessons[which]
            start = int(self._rng.integers(0, max(1, len(lesson.stats) - _LENGTH + 1)))
            taken = np.minimum(np.arange(start, start + _LENGTH), len(lesson.stats) - 1)
            told[i], answers[i] = lesson.stats[taken], lesson.answers[taken]
        told = np.clip((told - self._mean) / self._deviation, -4.0, 4.0)
        told += 0.1 * self._rng.standard_normal(told.shape, np.float32)
        return told, answers

    def _slopes(self, told: Floats, answers: Floats) -> list[Floats]:
        """The gradient of the cross entropy over a batch."""
        w1, b1, w2, b2, w3, b3 = self.weights
        n, length = told.shape[:2]
        seen = np.maximum(told @ w1 + b1, 0.0)
        before = np.concatenate([np.repeat(seen[:, :1], CONTEXT - 1, axis=1), seen], axis=1)
        parts = [before[:, j : j + length] for j in range(CONTEXT)] + [f @ seen for f in self._fading]
        context = np.concatenate(parts, axis=2)
        kept = (self._rng.random((n, 1, context.shape[2]), np.float32) > _DROPPED) / np.float32(1 - _DROPPED)
        context *= kept
        second = np.maximum(context @ w2 + b2, 0.0)
        odds = second @ w3 + b3
        right = np.zeros_like(odds)
        right[:, LAG:] = answers[:, :-LAG]
        weight = np.where(np.abs(right - 0.5) > _EDGE - 0.5, 1.0, 0.4).astype(np.float32)
        weight[:, :LAG] = 0.0
        slope = weight * (1 / (1 + np.exp(-odds)) - right) / (n * length)
        flat = slope.reshape(-1, 2)
        d3 = second.reshape(-1, WIDE).T @ flat
        back = (slope @ w3.T) * (second > 0)
        d2 = context.reshape(-1, context.shape[2]).T @ back.reshape(-1, WIDE)
        through = (back @ w2.T) * kept
        hidden = np.zeros_like(before)
        for j in range(CONTEXT):
            hidden[:, j : j + length] += through[:, :, j * HIDDEN : (j + 1) * HIDDEN]
        first = hidden[:, CONTEXT - 1 :].copy()
        first[:, 0] += hidden[:, : CONTEXT - 1].sum(axis=1)
        for i, f in enumerate(self._fading):
            first += f.T @ through[:, :, (CONTEXT + i) * HIDDEN : (CONTEXT + i + 1) * HIDDEN]
        first *= seen > 0
        d1 = told.reshape(-1, STATS).T @ first.reshape(-1, HIDDEN)
        return [
            d1, first.sum(axis=(0, 1)), d2, back.reshape(-1, WIDE).sum(axis=0), d3, flat.sum(axis=0)
        ]  # fmt: skip


def said_of(frames: NDArray[np.float64], network: Network) -> tuple[SoundChanged, ...]:
    """What the engine says of a programme's frames."""
    return tuple(Sound(settings_for("broadcast"), network).push(frames))


def odds_of(lesson: Lesson, network: Network) -> NDArray[np.float64]:
    """The log-odds of speech and music a network gives, block by block, shape (blocks, 2)."""
    listener = Listener(network)
    return np.array([listener.push(stats.astype(np.float64)) for stats in lesson.stats])


def temperature_of(odds: NDArray[np.float64], answers: NDArray[np.float64]) -> float:
    """What to divide log-odds by so that they are as sure as they are right: least cross entropy (Guo et al. 2017)."""
    tried = np.geomspace(0.4, 4.0, 60)
    losses = [np.mean(np.logaddexp(0, odds / t) - answers * odds / t) for t in tried]
    return float(tried[int(np.argmin(losses))])


def calibrated(network: Network, odds: list[NDArray[np.float64]], answers: list[Floats]) -> Network:
    """The network at the temperature that others' log-odds and answers, shape (blocks, 2), ask for; leaning."""
    told, right = np.concatenate(odds), np.concatenate(answers).astype(np.float64)
    cool = 1 / np.array([temperature_of(told[:, k], right[:, k]) for k in range(2)])
    return network._replace(w3=network.w3 * cool, b3=network.b3 * cool + LEANING)


def held_out(lessons: list[Lesson], tests: list[Lesson], kept: Path | None, epochs: int) -> list[Network]:
    """For each programme a network that was trained without its sources."""
    networks = []
    for test in tests:
        network = Trainer([each for each in lessons if not each.sources & test.sources], 0).run(epochs)
        if kept is not None:
            np.savez(kept / f"without_{test.truth.audio.stem}.npz", **network._asdict())
        networks.append(network)
    return networks


def _doubled(array: Floats) -> NDArray[np.float64]:
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
    files = [file for folder in asked.lessons for file in annotated_files(folder, "segments")]
    lessons = [lesson_of(file, frames_kept(file, asked.frames)) for file in files]
    network = Trainer(lessons, 0).run(asked.epochs)
    if asked.held_out:
        files = annotated_files(asked.held_out, "segments")
        frames = [frames_kept(file, asked.frames) for file in files]
        tests = [lesson_of(file, heard) for file, heard in zip(files, frames, strict=True)]
        networks = held_out(lessons, tests, asked.frames, asked.epochs)
        odds = [odds_of(test, each)[LAG:] for test, each in zip(tests, networks, strict=True)]
        answers = [test.answers[:-LAG] for test in tests]
        judged = []
        for i, file in enumerate(files):
            others = [k for k in range(len(files)) if k != i] or [i]
            fair = calibrated(networks[i], [odds[k] for k in others], [answers[k] for k in others])
            judged.append(sound_class.Programme(file.segments, said_of(frames[i], fair)))
            sys.stderr.write(f"{file.audio.stem}: {_row(judged[-1:])}\n")
        sys.stderr.write(f"held out: {_row(judged)}\n")
        network = calibrated(network, odds, answers)
    np.savez_compressed(asked.out, **network._asdict())


def _row(judged: list[sound_class.Programme]) -> str:
    return "; ".join(f"{what} {value}" for what, value, _ in sound_class.summary(judged))


if __name__ == "__main__":
    main()
