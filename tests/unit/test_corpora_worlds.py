"""Scores arranged for bands and voices: what is sung, what plays, and that the truth still holds."""

import mido
import numpy as np
import pytest

from streamseg.evaluation.annotations import LabelledSpan
from tools.training.corpora import SAMPLE_RATE
from tools.training.corpora.arrangement import Arranger
from tools.training.corpora.scores import DRUMS, Score, read_score
from tools.training.corpora.singing import SungTone, render_singing
from tools.training.corpora.worlds import apply_production

BAR_S = 2.0
SECTIONS = [
    LabelledSpan(0.0, 8.0, "i"),
    LabelledSpan(8.0, 24.0, "A"),
    LabelledSpan(24.0, 40.0, "B"),
    LabelledSpan(40.0, 48.0, "x"),
]


@pytest.fixture
def score():
    beats = np.arange(0, 48, 0.5)
    return Score(
        melody=[SungTone(t, t + 0.4, 67, 90) for t in beats],
        bridge=[SungTone(t, t + 2.0, 72, 70) for t in beats[::4]],
        piano=[SungTone(t, t + 1.9, pitch, 80) for t in beats[::4] for pitch in (48, 52, 55)],
        sections=SECTIONS,
        bars=list(np.arange(0, 48, BAR_S)),
    )


def test_a_score_is_read_in_seconds_through_changes_of_tempo(tmp_path):
    track = mido.MidiTrack([mido.MetaMessage("track_name", name="MELODY")])
    for wait, kind in ((0, "note_on"), (480, "note_off"), (480, "note_on"), (480, "note_off")):
        track.append(mido.Message(kind, note=60, velocity=80, time=wait))
    tempo = mido.MidiTrack(
        [mido.MetaMessage("set_tempo", tempo=500_000), mido.MetaMessage("set_tempo", tempo=250_000, time=960)]
    )
    mido.MidiFile(ticks_per_beat=480, tracks=[tempo, track]).save(tmp_path / "one.mid")
    (tmp_path / "one.sections.tsv").write_text("0.0\t1.0\tA\n1.0\t1.25\tB\n")
    (tmp_path / "one.bars.tsv").write_text("0.0\n1.0\n")
    score = read_score(tmp_path / "one.mid")
    assert np.array([(tone.start, tone.end) for tone in score.melody]) == pytest.approx(np.array([(0, 0.5), (1, 1.25)]))
    assert score.bars == [0.0, 1.0]
    faster = score.make_variation(2.0, 3)
    assert [(tone.start, tone.end, tone.pitch) for tone in faster.melody] == [(0.0, 0.25, 63), (0.5, 0.625, 63)]
    assert faster.sections == [LabelledSpan(0.0, 0.5, "A"), LabelledSpan(0.5, 0.625, "B")]


@pytest.mark.parametrize("seed", range(12))
def test_only_parts_in_capitals_are_sung_and_the_band_keeps_to_the_bars(score, seed):
    arranger = Arranger(score, np.random.default_rng(seed))
    assert {arranger.section_at(tone.start) for tone in arranger.make_voice()} == {1, 2}
    parts = arranger.make_backing()
    assert [channel for channel, _, _ in parts].count(DRUMS) == 1
    for channel, _, tones in parts:
        assert all(-0.1 <= tone.start < tone.end for tone in tones), channel
    solo = next(tones for channel, _, tones in parts if channel == 5)
    assert {arranger.section_at(tone.start) for tone in solo} == {0, 3}


def test_no_two_songs_are_arranged_alike(score):
    layers = [tuple(Arranger(score, np.random.default_rng(seed)).layers) for seed in range(8)]
    assert len(set(layers)) == 8
    again = Arranger(score, np.random.default_rng(3)).layers
    assert tuple(again) == layers[3]


@pytest.mark.parametrize("pitch", [48, 57, 69])
def test_the_singer_holds_the_pitch_and_keeps_silent_between(pitch):
    voice = render_singing([SungTone(1.0, 3.0, pitch, 90)], 4 * SAMPLE_RATE, np.random.default_rng(pitch))
    assert voice.shape == (4 * SAMPLE_RATE,)
    assert np.abs(voice[: SAMPLE_RATE // 2]).max() == 0.0
    assert np.abs(voice[round(3.1 * SAMPLE_RATE) :]).max() == 0.0
    held = voice[round(1.5 * SAMPLE_RATE) : round(2.5 * SAMPLE_RATE)].astype(float)
    alike = np.fft.irfft(np.abs(np.fft.rfft(held, 2 * len(held))) ** 2)
    lags = np.arange(SAMPLE_RATE // 700, SAMPLE_RATE // 90)
    period = lags[np.argmax(alike[lags])]
    expected = SAMPLE_RATE / (440 * 2 ** ((pitch - 69) / 12))
    assert period / expected == pytest.approx(round(period / expected), abs=0.06)


@pytest.mark.parametrize("much", [False, True])
def test_a_production_keeps_the_length_and_never_clips(much):
    sound = np.sin(np.arange(2 * SAMPLE_RATE) * 0.1).astype(np.float32)
    for seed in range(6):
        made = apply_production(sound, np.random.default_rng(seed), much=much)
        assert made.shape == sound.shape
        assert np.abs(made).max() <= 0.971
