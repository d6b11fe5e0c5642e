import numpy as np
import pytest

from streamseg.engine.features import COLUMNS, FeatureExtractor

RATE = 22_050
FIRST_BEAT_S = 0.2


def clicks(bpm, seconds):
    x = np.zeros(int(seconds * RATE))
    click = np.sin(np.arange(200) * 0.3) * np.exp(-np.arange(200) / 40)
    for at in (np.arange(FIRST_BEAT_S, seconds, 60 / bpm) * RATE).astype(int):
        x[at : at + 200] += click[: len(x) - at]
    return x.astype(np.float32)


def column(frames, name):
    return frames[:, COLUMNS[name]][:, 0]


@pytest.mark.parametrize("bpm", range(60, 201, 10))
def test_the_tempo_of_clicks_within_ten_seconds(bpm):
    frames = FeatureExtractor().push(clicks(bpm, 14.0))
    at_ten = round(10.0 * RATE / 512)
    assert column(frames, "tempo_bpm")[at_ten] == pytest.approx(bpm, rel=0.01)
    assert column(frames, "tempo_confidence")[at_ten] > 0.8
    # Phase is that of the newest hop's middle: sample 512 * i + 1,536 on average of where a rise is seen.
    late = np.arange(500, len(frames))
    truth = ((late * 512 + 1_536) / RATE - FIRST_BEAT_S) * bpm / 60
    turns = column(frames, "beat_phase")[late] - truth
    error_s = np.angle(np.exp(2j * np.pi * turns)) / (2 * np.pi) * 60 / bpm
    assert np.abs(error_s).max() < 0.025


def test_each_click_is_one_onset():
    frames = FeatureExtractor().push(clicks(120, 10.0))
    assert column(frames, "onset_found").sum() == pytest.approx(20, abs=1)


def test_noise_and_silence_have_no_tempo_to_trust():
    noise = np.random.default_rng(0).normal(0, 0.1, 14 * RATE).astype(np.float32)
    assert column(FeatureExtractor().push(noise), "tempo_confidence")[430:].mean() < 0.5
    silence = FeatureExtractor().push(np.zeros(14 * RATE, np.float32))
    assert not column(silence, "tempo_bpm").any()
    assert not column(silence, "onset_found").any()
