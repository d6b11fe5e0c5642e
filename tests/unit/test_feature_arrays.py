import re
from pathlib import Path

import librosa
import numpy as np
import pytest

import streamseg
from streamseg.blocks import Block, Gap
from streamseg.errors import SourceNotFoundError, UsageError
from streamseg.feature_arrays import COLUMNS, COLUMNS_TOTAL, UNITS, iterate_feature_frames
from tools.sound_files import pulsed_noise, write

RATE = 22_050
TABLE = (Path(__file__).parents[2] / "docs" / "features.md").read_text()


def documented():
    """name -> (shape, unit) of every row of the table in the docs."""
    rows = re.findall(r"^\| `(\w+)` \| `?\((.*?)\)`? \| (.*?) \|", TABLE, re.MULTILINE)
    return {name: (shape, unit) for name, shape, unit in rows}


def test_every_feature_is_documented_with_its_shape_and_unit():
    table = documented()
    assert list(table) == list(COLUMNS)
    heard = streamseg.extract_features(pulsed_noise(2.0, RATE, 1), RATE)
    for name, (shape, unit) in table.items():
        width = "".join(f", {n}" for n in heard[name].shape[1:])
        assert shape == f"frames{width}" or (not width and shape == "frames,"), name
        assert unit == UNITS[name], name
    assert sum(place.stop - place.start for place in COLUMNS.values()) == COLUMNS_TOTAL


def test_times_are_librosas():
    heard = streamseg.extract_features(pulsed_noise(2.0, RATE, 1), RATE)
    frames = np.arange(len(heard.time_s))
    np.testing.assert_allclose(
        heard.time_s, librosa.frames_to_time(frames, sr=RATE, hop_length=512, n_fft=2048), rtol=1e-12
    )
    assert len(frames) == librosa.stft(np.zeros(2 * RATE), n_fft=2048, hop_length=512, center=False).shape[1]


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (22_050, 1), (44_100, 2), (192_000, 2)])
def test_any_cut_gives_the_same_rows(rate, channels):
    samples = pulsed_noise(1.5, rate, channels)
    whole = streamseg.extract_features(samples, rate)
    cuts = np.split(samples, [1, 700, 701, len(samples) // 2])
    parts = list(iterate_feature_frames(Block(part, rate) for part in cuts))
    np.testing.assert_array_equal(np.concatenate([times for times, _ in parts]), whole.time_s)
    rows = np.concatenate([rows for _, rows in parts])
    for name, place in COLUMNS.items():
        np.testing.assert_array_equal(rows[:, place], whole[name].reshape(len(rows), -1))


def test_a_file_and_its_samples_are_the_same(tmp_path):
    samples = pulsed_noise(2.0, 44_100, 2)
    path = write(tmp_path / "song.wav", samples)
    quantised = (np.rint(samples * 32_768) / 32_768).astype(np.float32)
    ours, file = streamseg.extract_features(quantised, 44_100), streamseg.extract_features(str(path))
    for name in ("mfcc", "rms_db", "short_term_lufs"):
        np.testing.assert_allclose(file[name], ours[name], atol=1e-3)


HOSTILE = {
    "silence": np.zeros((RATE * 4, 1)),
    "constant": np.full((RATE * 4, 1), 0.7),
    "clipped": np.sign(pulsed_noise(4.0, RATE, 1)),
    "not numbers": np.where(np.arange(RATE * 4)[:, None] % 100 == 0, np.nan, 0.1),
    "many channels": pulsed_noise(1.0, RATE, 32),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("rate", [8_000, 22_050, 192_000])
def test_hostile_sound_gives_numbers(name, rate):
    heard = streamseg.extract_features(HOSTILE[name].astype(np.float32), rate)
    assert all(np.isfinite(array).all() for array in heard.values())
    if name == "silence":
        for absent in ("chroma", "tuned_chroma", "f0_hz", "voicing", "tempo_bpm", "tuning_cents", "onset"):
            assert not heard[absent].any(), absent


def test_after_a_gap_hearing_starts_afresh_at_its_time():
    samples = pulsed_noise(1.0, RATE, 1)
    alone = streamseg.extract_features(samples, RATE)
    times, rows = map(
        np.concatenate,
        zip(*iterate_feature_frames([Block(samples, RATE), Gap(3 * RATE, "overflow"), Block(samples, RATE)])),
    )
    np.testing.assert_allclose(times[len(alone.time_s) :], alone.time_s + 4.0)
    np.testing.assert_array_equal(rows[len(alone.time_s) :], rows[: len(alone.time_s)])


def test_loudness_is_of_the_full_rate_and_all_channels():
    tone = 0.1 * np.sin(2 * np.pi * 1_000 * np.arange(4 * 48_000) / 48_000)
    heard = streamseg.extract_features(np.stack([tone, tone], axis=1), 48_000)
    assert heard["momentary_lufs"][-1] == pytest.approx(-20.0, abs=0.1)
    assert heard["short_term_lufs"][-1] == pytest.approx(-20.0, abs=0.1)
    assert heard["true_peak_db"][-1] == pytest.approx(-20.0, abs=0.1)
    assert heard["momentary_lufs"][0] == -100.7


def test_what_was_asked_wrongly_is_said():
    with pytest.raises(UsageError, match="sample_rate"):
        streamseg.extract_features(np.zeros(100))
    with pytest.raises(UsageError, match="shape"):
        streamseg.extract_features(np.zeros((2, 2, 2)), 8_000)
    with pytest.raises(UsageError, match="its own"):
        streamseg.extract_features("song.flac", 44_100)
    with pytest.raises(SourceNotFoundError):
        streamseg.extract_features("nothing.flac")
    with pytest.raises(KeyError, match="there are mfcc"):
        streamseg.extract_features(np.zeros(100), 8_000)["mffc"]
