import librosa
import numpy as np
import pytest

from streamseg.engine.features import COLUMNS, FeatureExtractor
from streamseg.engine.sections.key import estimate_key

RATE = 22_050


def chords(cents, seconds=12.0, seed=0):
    """Notes of C major with partials, dying away, over a little noise; everything tuned `cents` from A = 440 Hz."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    x = 0.003 * rng.standard_normal(len(t))
    for start in np.arange(0, seconds, 0.5):
        on = (t >= start) & (t < start + 0.6)
        for note in rng.choice([48, 52, 55, 57, 60, 64, 67, 71, 72, 76], 3):
            hz = 440 * 2 ** ((note - 69 + cents / 100) / 12)
            for partial in range(1, 6):
                x[on] += 0.1 / partial * np.sin(2 * np.pi * hz * partial * t[on]) * np.exp(-4 * (t[on] - start))
    return x.astype(np.float32)


def column(frames, name):
    return frames[:, COLUMNS[name]]


@pytest.mark.parametrize("cents", [-45, -10, 0, 25, 40])
def test_the_tuning_is_known_within_two_seconds(cents):
    frames = FeatureExtractor().push(chords(cents))
    assert column(frames, "tuning_cents")[80:] == pytest.approx(cents, abs=2.0)


@pytest.mark.parametrize("cents", [-40, 20])
def test_tuned_chroma_is_librosas_at_that_tuning(cents):
    samples = chords(cents)
    ours = column(FeatureExtractor().push(samples), "tuned_chroma")[80:]
    magnitude = np.abs(librosa.stft(samples.astype(np.float64), n_fft=2048, hop_length=512, center=False))
    theirs = librosa.feature.chroma_stft(S=magnitude**2, sr=RATE, tuning=cents / 100).T[80:]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_at_440_hz_both_chromas_are_the_same_bits():
    frames = FeatureExtractor().push(chords(3))
    np.testing.assert_array_equal(column(frames, "tuned_chroma"), column(frames, "chroma"))


def test_a_song_between_two_tunings_has_the_key_it_was_written_in():
    high, plain = FeatureExtractor().push(chords(45)), FeatureExtractor().push(chords(0))
    assert estimate_key(column(high, "tuned_chroma").sum(axis=0)) is not None
    assert (
        estimate_key(column(high, "tuned_chroma").sum(axis=0)).name
        == estimate_key(column(plain, "chroma").sum(axis=0)).name
    )


@pytest.mark.parametrize("samples", [np.zeros(8 * RATE), np.random.default_rng(1).normal(0, 0.1, 8 * RATE)])
def test_what_has_no_notes_is_not_tuned(samples):
    frames = FeatureExtractor().push(samples.astype(np.float32))
    assert not column(frames, "tuning_cents").any()


def test_the_tuning_of_a_new_track_is_found_again():
    frames = FeatureExtractor().push(np.concatenate([chords(-30), chords(20, 25.0)]))
    assert column(frames, "tuning_cents")[-1] == pytest.approx(20, abs=4.0)
