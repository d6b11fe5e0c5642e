"""Train the network that classifies sound as speech and music, and print its scores on held-out programmes.

    python -m tools.training.sound_class_training OUT.npz FOLDER… [--held-out FOLDER] [--frames DIR]

The folders hold annotated programmes (`NAME.segments.tsv`, `NAME.sources.tsv`); training programmes are made by
`tools.training.corpora.programmes --lessons`. For each held-out programme a network is trained on all programmes that
share no voice, track or noise with it; it is calibrated on the other held-out programmes and scored as the engine runs.
The network in OUT is trained on all training programmes and calibrated on all held-out ones.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from streamseg.engine.sound_class.classifier import SoundClassifier
from streamseg.engine.sound_class.network import DECISION_LAG, SpeechMusicNetwork, SpeechMusicWeights
from streamseg.engine.sound_class.window_features import (
    CONTEXT_FRAMES,
    N_STATISTICS,
    TOTAL_FRAMES,
    WINDOW_FRAMES,
    compute_window_features,
)
from streamseg.evaluation import sound_class_scores
from streamseg.evaluation.annotations import AnnotatedFile, find_annotated_files, read_spans
from streamseg.evaluation.tracks import extract_feature_frames
from streamseg.settings import ENGINE_RATE, FRAME, HOP, make_settings
from streamseg.wire.events import SoundChanged
from tools.training.corpora.material import normalise_name
from tools.training.network_trainer import NetworkTrainer

Floats = NDArray[np.float32]

_SYNTHETIC_SOURCES = {
    "dead_air",
    "tune",
    "accompaniment",
    "formant_singer",
}  # made anew each time, hence shared by no two programmes
_MAX_TEMPERATURE = 4.0

# Added to the log-odds of speech and music: the training programmes are harder than real ones, so held-out networks
# find speech in noise and miss music far beneath talk. Two numbers, chosen on the scores of held-out networks.
LOG_ODDS_OFFSET = np.array([-0.7, 0.5])


@dataclass(frozen=True, eq=False)
class TrainingProgramme:
    """A programme as features and targets.

    features: shape (windows, N_STATISTICS). targets: shape (windows, 2), the share of speech and of music. sources:
    voices, tracks and noises in it.
    """

    truth: AnnotatedFile
    features: Floats
    targets: Floats
    sources: frozenset[str]


def describe_programme(file: AnnotatedFile, frames: NDArray[np.float64]) -> TrainingProgramme:
    """Compute the window features of a programme's frames and the target of each window."""
    padded = np.concatenate([np.repeat(frames[:1], CONTEXT_FRAMES, axis=0), frames])
    windows = len(frames) // WINDOW_FRAMES
    features = np.empty((windows, N_STATISTICS))
    for i in range(windows):
        compute_window_features(padded[i * WINDOW_FRAMES : i * WINDOW_FRAMES + TOTAL_FRAMES], features[i])
    t = ((np.arange(windows * WINDOW_FRAMES) + 0.5) * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    span_of_frame = np.searchsorted([span.start for span in file.segments], t, side="right") - 1
    classes = np.array([sound_class_scores.TRUTH_CLASSES[span.label][:2] for span in file.segments], np.float32)
    targets = classes[np.maximum(span_of_frame, 0)].reshape(windows, WINDOW_FRAMES, 2).mean(axis=1)
    path = file.audio.with_suffix(".sources.tsv")
    sources = frozenset(normalise_name(span.label) for span in read_spans(path)) if path.exists() else frozenset()
    return TrainingProgramme(file, features.astype(np.float32), targets, sources - _SYNTHETIC_SOURCES)


def load_frames(file: AnnotatedFile, cache: Path | None) -> NDArray[np.float64]:
    """Compute the feature frames of a programme, or read them from the cache folder, if one is given."""
    path = cache / f"{file.audio.parent.name}_{file.audio.stem}.npy" if cache else None
    if path is not None and path.exists():
        cached: NDArray[np.float64] = np.load(path).astype(np.float64)
        return cached
    frames = np.concatenate(list(extract_feature_frames(file.audio)))
    if path is not None:
        np.save(path, frames.astype(np.float32))
    return frames


def predict_sound_class(frames: NDArray[np.float64], network: SpeechMusicWeights) -> tuple[SoundChanged, ...]:
    """Run the engine's classifier over the frames of a programme."""
    return tuple(SoundClassifier(make_settings("broadcast"), network).push(frames))


def predict_log_odds(programme: TrainingProgramme, network: SpeechMusicWeights) -> NDArray[np.float64]:
    """Compute the log-odds of speech and music for each window, shape (windows, 2)."""
    classifier = SpeechMusicNetwork(network)
    return np.array([classifier.push(row.astype(np.float64)) for row in programme.features])


def fit_temperature(log_odds: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Fit the divisor of log-odds that gives the least cross entropy (Guo et al. 2017), 0.25 to 4.

    Targets are shares, not classes, which scikit-learn's `LogisticRegression` does not take.
    """

    def loss(log_temperature: float) -> float:
        z = log_odds * np.exp(-log_temperature)
        return float(np.mean(np.logaddexp(0, z) - targets * z))

    limit = np.log(_MAX_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


def calibrate_network(
    network: SpeechMusicWeights, log_odds: list[NDArray[np.float64]], targets: list[Floats]
) -> SpeechMusicWeights:
    """Return the network with calibrated log-odds, plus `LOG_ODDS_OFFSET`.

    log_odds, targets: of held-out programmes, each of shape (windows, 2).
    """
    z, target = np.concatenate(log_odds), np.concatenate(targets).astype(np.float64)
    scale = 1 / np.array([fit_temperature(z[:, k], target[:, k]) for k in range(2)])
    return network._replace(w3=network.w3 * scale, b3=network.b3 * scale + LOG_ODDS_OFFSET)


def train_held_out(
    programmes: list[TrainingProgramme], tests: list[TrainingProgramme], cache: Path | None, epochs: int
) -> list[SpeechMusicWeights]:
    """Train a network for each test programme, without the programmes that share a source with it."""
    networks = []
    for test in tests:
        network = NetworkTrainer([each for each in programmes if not each.sources & test.sources], 0).train(epochs)
        if cache is not None:
            np.savez(cache / f"without_{test.truth.audio.stem}.npz", **network._asdict())
        networks.append(network)
    return networks


def main() -> None:
    """Score held-out networks, then train on everything and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder", help="programmes to train on")
    parser.add_argument("--held-out", type=Path, help="programmes to score and calibrate on")
    parser.add_argument("--frames", type=Path, help="folder in which feature frames are cached")
    parser.add_argument("--epochs", type=int, default=30)
    asked = parser.parse_args()
    if asked.frames:
        asked.frames.mkdir(parents=True, exist_ok=True)
    files = [file for folder in asked.folders for file in find_annotated_files(folder, "segments")]
    programmes = [describe_programme(file, load_frames(file, asked.frames)) for file in files]
    network = NetworkTrainer(programmes, 0).train(asked.epochs)
    if asked.held_out:
        network = _score_held_out(network, programmes, asked.held_out, asked.frames, asked.epochs)
    np.savez_compressed(asked.out, **network._asdict())


def _score_held_out(
    network: SpeechMusicWeights, programmes: list[TrainingProgramme], folder: Path, cache: Path | None, epochs: int
) -> SpeechMusicWeights:
    """Print the scores on the held-out programmes of a folder, and return the network calibrated on them."""
    files = find_annotated_files(folder, "segments")
    frames = [load_frames(file, cache) for file in files]
    tests = [describe_programme(file, its_frames) for file, its_frames in zip(files, frames, strict=True)]
    networks = train_held_out(programmes, tests, cache, epochs)
    log_odds = [predict_log_odds(test, each)[DECISION_LAG:] for test, each in zip(tests, networks, strict=True)]
    targets = [test.targets[:-DECISION_LAG] for test in tests]
    scored = []
    for i, file in enumerate(files):
        others = [k for k in range(len(files)) if k != i] or [i]
        calibrated = calibrate_network(networks[i], [log_odds[k] for k in others], [targets[k] for k in others])
        scored.append(sound_class_scores.ProgrammeToScore(file.segments, predict_sound_class(frames[i], calibrated)))
        sys.stderr.write(f"{file.audio.stem}: {_format_summary(scored[-1:])}\n")
    sys.stderr.write(f"held out: {_format_summary(scored)}\n")
    return calibrate_network(network, log_odds, targets)


def _format_summary(programmes: list[sound_class_scores.ProgrammeToScore]) -> str:
    return "; ".join(f"{what} {value}" for what, value, _ in sound_class_scores.summarise_sound_class(programmes))


if __name__ == "__main__":
    main()
