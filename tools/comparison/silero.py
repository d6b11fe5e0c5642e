"""Comparison of speech detection with Silero VAD: the same programmes, in one process on one thread.

    pip install onnxruntime && pip install --no-deps silero-vad
    python -m tools.comparison.silero FOLDER

FOLDER has annotated programmes. Speech is scored as by `streamseg evaluate`, on a grid of half seconds. Silero (MIT,
https://github.com/snakers4/silero-vad) processes 512 samples at a time at 16 kHz; a cell is speech if its mean
probability over that cell and `--smooth` cells on either side is at least one half. Cost is CPU time without decoding.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.resampling import Resampler
from streamseg.engine.sound_class.classifier import SoundClassifier
from streamseg.evaluation import sound_class_scores
from streamseg.evaluation.annotations import find_annotated_files
from streamseg.settings import ENGINE_RATE, make_settings
from tools.training.corpora import decode_file

RATE, CHUNK, CONTEXT = 16_000, 512, 64


def load_silero():
    """Load the network from the installed package without importing the package, which needs torch."""
    import onnxruntime

    package = importlib.util.find_spec("silero_vad")
    model = Path(package.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def silero_probabilities(network, sound):
    """Compute its probability of speech for every 512 samples at 16 kHz."""
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32)
    rate, out = np.array(RATE, np.int64), []
    for at in range(0, len(sound) - CHUNK + 1, CHUNK):
        chunk = np.concatenate([context, sound[None, at : at + CHUNK]], axis=1)
        probability, state = network.run(None, {"input": chunk, "state": state, "sr": rate})
        context = chunk[:, -CONTEXT:]
        out.append(float(probability[0, 0]))
    return np.array(out)


def resample_to_16_khz(sound):
    """Resample from ENGINE_RATE in the frequency domain."""
    n = round(len(sound) * RATE / ENGINE_RATE)
    return (np.fft.irfft(np.fft.rfft(sound)[: n // 2 + 1], n) * n / len(sound)).astype(np.float32)


def f1(true, predicted):
    return 2 * np.sum(true & predicted) / (np.sum(true) + np.sum(predicted))


def run_streamseg(sound):
    """Return the engine's predictions, and the CPU seconds of features and of the sound classifier."""
    began = time.process_time()
    frames = FeatureExtractor().push(Resampler(ENGINE_RATE).push(sound[:, None]))
    features_end = time.process_time()
    classifier = SoundClassifier(make_settings("broadcast"))
    predictions = tuple(event for at in range(0, len(frames), 21) for event in classifier.push(frames[at : at + 21]))
    return predictions, features_end - began, time.process_time() - features_end


def compare(folder, smooth, write=sys.stdout.write):
    """Return F1 of speech of streamseg and of Silero, and the ratio of costs without and with the features."""
    network = load_silero()
    true, ours, theirs = [], [], []
    features_s = classifier_s = silero_s = sound_s = 0.0
    run_streamseg(np.zeros(ENGINE_RATE, np.float32))  # compiles the kernels
    for file in find_annotated_files(folder, "segments"):
        sound = decode_file(file.audio)
        predictions, its_features_s, its_classifier_s = run_streamseg(sound)
        resampled = resample_to_16_khz(sound)
        began = time.process_time()
        speech = silero_probabilities(network, resampled)
        silero_s += time.process_time() - began
        features_s, classifier_s = features_s + its_features_s, classifier_s + its_classifier_s
        sound_s += len(sound) / ENGINE_RATE
        truth = sound_class_scores.sample_truth_on_grid(file.segments)[:, 0]
        grid = np.arange(file.segments[0].start, file.segments[-1].end, sound_class_scores.GRID_S)[: len(truth)]
        sums = np.concatenate([[0.0], np.cumsum(speech)])
        low = np.clip(((grid - smooth * sound_class_scores.GRID_S) * RATE / CHUNK).astype(int), 0, len(speech) - 1)
        high = np.clip(
            ((grid + (smooth + 1) * sound_class_scores.GRID_S) * RATE / CHUNK).astype(int), low + 1, len(speech)
        )
        true.append(truth)
        theirs.append((sums[high] - sums[low]) / (high - low) >= 0.5)
        ours.append(sound_class_scores.sample_predictions_on_grid(predictions, file.segments)[:, 0])
    truth = np.concatenate(true)
    our_f1, their_f1 = f1(truth, np.concatenate(ours)), f1(truth, np.concatenate(theirs))
    alone, together = silero_s / classifier_s, silero_s / (classifier_s + features_s)
    write(f"{sound_s / 3600:.2f} h. F1 of speech: streamseg {our_f1:.3f}, Silero VAD {their_f1:.3f}\n")
    write(f"CPU, ms a second of sound: Silero VAD {1e3 * silero_s / sound_s:.2f}; streamseg ")
    write(f"{1e3 * classifier_s / sound_s:.2f}, with all features {1e3 * (classifier_s + features_s) / sound_s:.2f}\n")
    write(f"ratio of costs: {alone:.0f}, with all features {together:.1f}\n")
    return our_f1, their_f1, alone, together


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--smooth", type=int, default=0)
    asked = parser.parse_args()
    compare(asked.folder, asked.smooth)
