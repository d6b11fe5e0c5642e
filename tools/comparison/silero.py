"""Speech, beside Silero VAD: the same programmes, one after the other, in one process on one thread.

    pip install onnxruntime && pip install --no-deps silero-vad
    python -m tools.comparison.silero FOLDER

FOLDER: annotated programmes. Scored as `streamseg evaluate` scores speech, on a grid of half seconds. Silero (MIT,
https://github.com/snakers4/silero-vad) hears 512 samples at a time at 16 kHz; a cell is speech where its mean
probability over that cell and `--smooth` cells on either side passes a half. Cost is processor time, decoding aside.
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


def silero():
    """Its network, out of the installed package, without importing that (it would want torch)."""
    import onnxruntime

    found = importlib.util.find_spec("silero_vad")
    model = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def probabilities(network, sound):
    """Its probability of speech for every 512 samples at 16 kHz."""
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32)
    rate, out = np.array(RATE, np.int64), []
    for at in range(0, len(sound) - CHUNK + 1, CHUNK):
        chunk = np.concatenate([context, sound[None, at : at + CHUNK]], axis=1)
        probability, state = network.run(None, {"input": chunk, "state": state, "sr": rate})
        context = chunk[:, -CONTEXT:]
        out.append(float(probability[0, 0]))
    return np.array(out)


def at_16_khz(sound):
    """Brought from the engine's rate by linear phase in the frequency domain."""
    n = round(len(sound) * RATE / ENGINE_RATE)
    return (np.fft.irfft(np.fft.rfft(sound)[: n // 2 + 1], n) * n / len(sound)).astype(np.float32)


def f1(true, said):
    return 2 * np.sum(true & said) / (np.sum(true) + np.sum(said))


def ours(sound):
    """What the engine says, and the processor seconds of features and of the kind of sound."""
    began = time.process_time()
    frames = FeatureExtractor().push(Resampler(ENGINE_RATE).push(sound[:, None]))
    heard = time.process_time()
    kind = SoundClassifier(make_settings("broadcast"))
    said = tuple(fact for at in range(0, len(frames), 21) for fact in kind.push(frames[at : at + 21]))
    return said, heard - began, time.process_time() - heard


def compare(folder, smooth, say=sys.stdout.write):
    """(speech F1 of ours, of theirs, how many times cheaper we are: the kind of sound alone, with its features)."""
    network = silero()
    true, mine, theirs = [], [], []
    features_s = kind_s = their_s = heard_s = 0.0
    ours(np.zeros(ENGINE_RATE, np.float32))  # compiled before it is measured
    for file in find_annotated_files(folder, "segments"):
        sound = decode_file(file.audio)
        said, features, kind = ours(sound)
        slow = at_16_khz(sound)
        began = time.process_time()
        speech = probabilities(network, slow)
        their_s += time.process_time() - began
        features_s, kind_s, heard_s = features_s + features, kind_s + kind, heard_s + len(sound) / ENGINE_RATE
        truth = sound_class_scores.truth_grid(file.segments)[:, 0]
        grid = np.arange(file.segments[0].start, file.segments[-1].end, sound_class_scores.GRID_S)[: len(truth)]
        sums = np.concatenate([[0.0], np.cumsum(speech)])
        low = np.clip(((grid - smooth * sound_class_scores.GRID_S) * RATE / CHUNK).astype(int), 0, len(speech) - 1)
        high = np.clip(
            ((grid + (smooth + 1) * sound_class_scores.GRID_S) * RATE / CHUNK).astype(int), low + 1, len(speech)
        )
        true.append(truth)
        theirs.append((sums[high] - sums[low]) / (high - low) >= 0.5)
        mine.append(sound_class_scores.prediction_grid(said, file.segments)[:, 0])
    right = np.concatenate(true)
    our_f1, their_f1 = f1(right, np.concatenate(mine)), f1(right, np.concatenate(theirs))
    alone, together = their_s / kind_s, their_s / (kind_s + features_s)
    say(f"{heard_s / 3600:.2f} h. Speech, F1: streamseg {our_f1:.3f}, Silero VAD {their_f1:.3f}\n")
    say(f"processor, ms a second of sound: Silero VAD {1e3 * their_s / heard_s:.2f}; ")
    say(f"kind of sound {1e3 * kind_s / heard_s:.2f}, with all features {1e3 * (kind_s + features_s) / heard_s:.2f}\n")
    say(f"times cheaper than Silero VAD: {alone:.0f} (features are there anyway), {together:.1f} with all features\n")
    return our_f1, their_f1, alone, together


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--smooth", type=int, default=0)
    asked = parser.parse_args()
    compare(asked.folder, asked.smooth)
