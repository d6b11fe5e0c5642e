"""The description of a block of sound, and the network that hears it, against slow and obvious versions."""

import numpy as np
import pytest

from streamseg.engine.features import COLUMNS, FeatureExtractor
from streamseg.engine.sound_class.network import (
    CONTEXT_WINDOWS,
    MEAN_DECAYS,
    SPEECH_MUSIC_WEIGHTS,
    SpeechMusicNetwork,
    SpeechMusicWeights,
)
from streamseg.engine.sound_class.window_features import (
    CONTEXT_FRAMES,
    N_STATISTICS,
    TOTAL_FRAMES,
    WINDOW_FRAMES,
    compute_window_features,
)
from tools.training.corpora import noises


def cosine(x, y):
    return x @ y / np.sqrt(x @ x * (y @ y)) if x @ x > 1e-9 and y @ y > 1e-9 else 0.0


def spread(x):
    return [x.mean(), x.std()]


def described(frames):
    """All of `compute_window_features`, in its order."""
    part = {name: frames[:, columns] for name, columns in COLUMNS.items()}
    mel, chroma = part["log_mel"], part["chroma"]
    now = mel[CONTEXT_FRAMES:]
    loud = now.mean(axis=1)
    out = [loud.std(), loud.min() - loud.mean(), loud.max() - loud.mean()]
    for band in now.reshape(WINDOW_FRAMES, 16, 4).mean(axis=2).T:
        out += [band.mean() - loud.mean(), band.std(), band.min() - band.mean()]
    moved = np.abs(np.diff(mel[CONTEXT_FRAMES - 1 :], axis=0))
    out += list(moved.reshape(WINDOW_FRAMES, 4, 16).mean(axis=(0, 2)))

    out += spread(part["zero_crossing_rate"][CONTEXT_FRAMES:])
    out += spread(np.log(part["flatness"][CONTEXT_FRAMES:] + 1e-7))
    out += spread(np.log(part["centroid_hz"][CONTEXT_FRAMES:] + 50.0))
    onset = part["onset"][CONTEXT_FRAMES:]
    out += [*spread(onset), onset.max()]
    out += spread(part["voicing"][CONTEXT_FRAMES:])
    hz = part["f0_hz"][:, 0]
    steps = [
        min(0.2, abs(np.log(b / a)))
        for a, b in zip(hz[CONTEXT_FRAMES - 1 : -1], hz[CONTEXT_FRAMES:], strict=True)
        if a > 0 and b > 0
    ]
    out += [len(steps) / WINDOW_FRAMES, np.mean(steps) if steps else 0.0, part["tempo_confidence"][-1, 0]]
    for band in part["contrast"][CONTEXT_FRAMES:].T:
        out += spread(band)

    def lasting(x, lag):
        return np.mean([cosine(x[f], x[f - lag]) for f in range(CONTEXT_FRAMES, TOTAL_FRAMES)])

    out += [lasting(chroma, lag) for lag in (1, 3, 9, 18)]
    out += [chroma[CONTEXT_FRAMES:].mean(), chroma[CONTEXT_FRAMES:].std(axis=0).mean()]
    ridges = mel[:, 1:-1] - 0.5 * (mel[:, :-2] + mel[:, 2:])
    for half in (ridges[:, :31], ridges[:, 31:]):
        out += [*(lasting(half, lag) for lag in (2, 6, 15)), np.abs(half[CONTEXT_FRAMES:]).mean()]

    floor, level = mel.min(axis=0), mel.mean(axis=1)
    out += list(floor.reshape(16, 4).mean(axis=1) - level.mean())
    bare, usual = floor[1:-1] - 0.5 * (floor[:-2] + floor[2:]), ridges.mean(axis=0)
    out += [np.abs(bare[20 * k : 20 * k + 20]).mean() for k in range(3)]
    out += [cosine(bare[:31], usual[:31]), cosine(bare[31:], usual[31:])]
    quiet = sorted(np.argsort(level, kind="stable")[:8])
    out += [
        (level[quiet] - level.mean()).mean(),
        np.log(part["flatness"][quiet] + 1e-7).mean(),
        np.abs(ridges[quiet]).mean(),
        np.mean([cosine(ridges[f], ridges[quiet[i - 1]]) for i, f in enumerate(quiet)]),
        chroma[quiet].mean(),
        part["voicing"][quiet].mean(),
    ]
    return np.array(out)


@pytest.mark.parametrize("kind", ["siren", "crowd", "knocks"])
def test_a_block_is_described_as_by_hand(kind):
    frames = FeatureExtractor().push(noises.KINDS[kind](np.random.default_rng(1), 3.0).astype(np.float32) * 0.1)
    for at in (0, 17, 60):
        out = np.empty(N_STATISTICS)
        compute_window_features(frames[at : at + TOTAL_FRAMES], out)
        assert out == pytest.approx(described(frames[at : at + TOTAL_FRAMES]), abs=1e-9)


def test_silence_is_described_by_numbers():
    out = np.empty(N_STATISTICS)
    compute_window_features(
        FeatureExtractor().push(np.zeros(2048 + 512 * TOTAL_FRAMES, np.float32))[:TOTAL_FRAMES], out
    )
    assert np.all(np.isfinite(out))


def listened(stats, net: SpeechMusicWeights):
    """The network over whole arrays."""
    z = np.clip((stats - net.mean) / net.std, -4.0, 4.0)
    seen = np.maximum(z @ net.w1 + net.b1, 0.0)
    means = []
    for fading in MEAN_DECAYS:
        mean = [seen[0]]
        for x in seen[1:]:
            mean.append(fading * mean[-1] + (1 - fading) * x)
        means.append(np.array(mean))
    out = []
    for t in range(len(seen)):
        context = [seen[max(0, t - CONTEXT_WINDOWS + 1 + j)] for j in range(CONTEXT_WINDOWS)]
        row = np.concatenate([*context, *(mean[t] for mean in means)])
        out.append(np.maximum(row @ net.w2 + net.b2, 0.0) @ net.w3 + net.b3)
    return np.array(out)


def test_the_network_hears_block_by_block_what_it_hears_at_once():
    rng = np.random.default_rng(2)
    stats = SPEECH_MUSIC_WEIGHTS.mean + 2 * SPEECH_MUSIC_WEIGHTS.std * rng.standard_normal((40, N_STATISTICS))
    listener = SpeechMusicNetwork(SPEECH_MUSIC_WEIGHTS)
    assert np.array([listener.push(row) for row in stats]) == pytest.approx(
        listened(stats, SPEECH_MUSIC_WEIGHTS), abs=1e-9
    )
