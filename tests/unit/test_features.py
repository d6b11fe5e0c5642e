import os
import pickle
import subprocess
import sys

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws.naive_spectrum import spectral

from streamseg.engine.features import COLUMNS, COLUMNS_TOTAL, FeatureExtractor

RATE = 22_050


def music(seconds, seed=0, cents=0):
    """Chords with partials, a beat and some noise; tuned `cents` from A = 440 Hz."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    x = 0.01 * rng.standard_normal(len(t))
    for start in np.arange(0, seconds, 0.5):
        since = t - start
        on = (since >= 0) & (since < 0.6)
        for note in rng.integers(45, 80, 3):
            hz = 440 * 2 ** ((note - 69 + cents / 100) / 12)
            for partial in range(1, 6):
                wave = np.sin(2 * np.pi * hz * partial * since[on]) * np.exp(-4 * since[on])
                x[on] += 0.1 / partial * wave
    return x.astype(np.float32)


def split(samples, sizes):
    at, turn = 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        yield samples[at : at + size]
        at, turn = at + size, turn + 1


def pushed(samples, sizes):
    features = FeatureExtractor()
    return np.concatenate([features.push(part) for part in split(samples, sizes)])


HOSTILE = {
    "silence": np.zeros(RATE, np.float32),
    "constant": np.full(RATE, 0.7, np.float32),
    "clipped": np.sign(music(1.0)),
    "not numbers": np.where(np.arange(RATE) % 100 == 0, np.nan, music(1.0)),
    "infinite": np.where(np.arange(RATE) % 1000 == 0, np.inf, music(1.0)),
    "denormal": np.full(RATE, 1e-40, np.float32),
    "huge": music(1.0) * np.float32(1e30),
}


@pytest.mark.parametrize("name", ["music", *HOSTILE])
def test_every_column_agrees_with_its_naive_twin(name):
    samples = (music(6.0, cents=25) if name == "music" else HOSTILE[name]).astype(np.float32)
    ours, naive = FeatureExtractor().push(samples), spectral(samples)
    assert ours.shape == naive.shape
    assert name != "music" or (ours[:, COLUMNS["tuned_chroma"]] != ours[:, COLUMNS["chroma"]]).any()
    for column, place in COLUMNS.items():
        scale = max(1e-6, np.abs(naive[:, place]).max())
        assert np.abs(ours[:, place] - naive[:, place]).max() < 1e-6 * scale, column
        assert name != "music" or np.ptp(ours[:, place]) > 0, (
            f"{column} is the same in every frame: nothing was compared"
        )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sound_leaves_the_state_sound(name):
    features = FeatureExtractor()
    assert np.isfinite(features.push(HOSTILE[name].astype(np.float32))).all()
    calm = music(1.0)
    after = features.push(calm)[-10:]
    assert np.isfinite(after).all()
    assert FeatureExtractor().push(np.zeros(0, np.float32)).shape == (0, COLUMNS_TOTAL)


@given(sizes=st.lists(st.sampled_from([1, 7, 511, 512, 513, 4096, 30_000]), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_chunking_is_invisible(sizes):
    samples = music(0.7)
    np.testing.assert_array_equal(pushed(samples, sizes), FeatureExtractor().push(samples))


@pytest.mark.parametrize("at", [0, 1, 2047, 2048, 5000])
def test_a_checkpoint_is_invisible(at):
    samples = music(0.7)
    features = FeatureExtractor()
    before = features.push(samples[:at])
    restored = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(restored.push(samples[at:]), features.push(samples[at:]))
    assert before.shape[1] == COLUMNS_TOTAL


def test_the_input_is_neither_kept_nor_written():
    samples = music(0.5)
    first = samples[:6000].copy()
    features = FeatureExtractor()
    features.push(first)
    np.testing.assert_array_equal(first, samples[:6000])
    first[:] = 1.0
    rest = features.push(samples[6000:])
    np.testing.assert_array_equal(rest, FeatureExtractor().push(samples)[-len(rest) :])


def agreement(ours, theirs):
    """The largest error of a frame, as a share of the frame's norm."""
    error = np.linalg.norm(ours - theirs.T, axis=1)
    return (error / np.maximum(1e-12, np.linalg.norm(theirs.T, axis=1))).max()


def test_agreement_with_librosa():
    samples = music(4.0)
    x = samples.astype(np.float64)
    frames = {"n_fft": 2048, "hop_length": 512, "center": False}
    magnitude = np.abs(librosa.stft(x, **frames))
    log_mel = librosa.power_to_db(
        librosa.feature.melspectrogram(S=magnitude**2, sr=RATE, n_mels=64), top_db=None, amin=1e-10
    )
    feature = librosa.feature
    theirs = {
        "log_mel": log_mel,
        "mfcc": feature.mfcc(S=log_mel, n_mfcc=20),
        "centroid_hz": feature.spectral_centroid(S=magnitude, sr=RATE),
        "bandwidth_hz": feature.spectral_bandwidth(S=magnitude, sr=RATE),
        "rolloff_hz": feature.spectral_rolloff(S=magnitude, sr=RATE),
        "flatness": feature.spectral_flatness(S=magnitude),
        "contrast": feature.spectral_contrast(S=magnitude, sr=RATE),
        "onset": librosa.onset.onset_strength(S=log_mel, sr=RATE, center=False)[None],
        "zero_crossing_rate": feature.zero_crossing_rate(x, frame_length=2048, hop_length=512, center=False),
    }
    ours = FeatureExtractor().push(samples)
    worst = {name: agreement(ours[:, COLUMNS[name]], value) for name, value in theirs.items()}
    assert max(worst.values()) < 1e-6, worst
    chroma = feature.chroma_stft(S=magnitude**2, sr=RATE, tuning=0.0)
    # Ours leaves out what lies above 5 kHz and weights below 0.1 %.
    assert np.corrcoef(ours[:, COLUMNS["chroma"]].ravel(), chroma.T.ravel())[0, 1] > 0.98


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is the run it would start")
def test_the_kernels_mean_the_same_as_plain_python():
    chosen = "test_every_column_agrees_with_its_naive_twin and (music or silence)"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", chosen],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout
