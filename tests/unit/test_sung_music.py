"""Sung music for training: melodies keep to time and pitch, a vocoder sings and speaks, scores are asked for."""

from pathlib import Path

import numpy as np
import pytest

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import programmes
from tools.training.corpora.material import MaterialCollection, SoundClip
from tools.training.corpora.programme_styles import TRAINING_STYLE
from tools.training.corpora.scenes import SceneMaker
from tools.training.corpora.scores import Score
from tools.training.corpora.singing import SungTone, render_singing
from tools.training.corpora.sung_music import SungMusicMaker, close_rests, cut_score, transpose_near


def test_a_part_of_a_score_starts_at_zero():
    tones = [SungTone(t, t + 0.9, 60, 80) for t in np.arange(0.0, 40.0)]
    score = Score(tones, [], tones, [LabelledSpan(0, 20, "A"), LabelledSpan(20, 40, "B")], list(np.arange(0, 40, 2.0)))
    part = cut_score(score, 10.0, 15.0)
    assert [span.label for span in part.sections] == ["A", "B"]
    assert (part.sections[0].start, part.sections[0].end, part.sections[1].end) == (0.0, 10.0, 15.0)
    assert part.melody[0].start == 0.0
    assert len(part.melody) == 15
    assert part.melody[-1].end <= 15.0
    assert part.bars[0] == 0.0


def test_a_melody_is_moved_by_octaves_and_its_rests_are_closed():
    tones = [SungTone(1.5, 2.0, 72, 80), SungTone(6.0, 6.5, 74, 80)]
    assert [tone.pitch for tone in transpose_near(tones, 50.0)] == [48, 50]
    closed = close_rests(tones, 1.0, 12.0)
    assert [(tone.start, tone.end) for tone in closed] == [(0.0, 5.0), (6.0, 11.0)]


def vowels(pitch_hz, seconds=2.0):
    """Speech-like sound: the formant singer with a falling pitch, four syllables a second."""
    tone = 69 + 12 * np.log2(pitch_hz / 440)
    tones = [SungTone(t, t + 0.2, round(tone), 90) for t in np.arange(0.1, seconds, 0.25)]
    return render_singing(tones, int(seconds * ENGINE_RATE), np.random.default_rng(1), rapped=True, female=False)


@pytest.mark.singing
def test_the_vocoder_sings_the_melody_and_speaks_otherwise():
    import pyworld

    from tools.training.corpora.speech_to_singing import SingingStyle, analyse_voice, sing, speak

    voice = analyse_voice(vowels(120.0))
    assert voice is not None
    assert len(voice.syllables) >= 4
    style = SingingStyle(0.0, 5.0, 0.1, 0.02, 1.0, 0.0, 1.0, 0.0)
    tones = [SungTone(0.0, 1.0, 50, 80), SungTone(1.0, 2.0, 55, 80)]
    sung = sing([voice], tones, 2.0, style, np.random.default_rng(0))
    assert len(sung) == pytest.approx(2 * ENGINE_RATE, abs=ENGINE_RATE // 50)
    pitch, _ = pyworld.harvest(sung.astype(np.float64), ENGINE_RATE)
    for start, note in ((0.3, 50), (1.3, 55)):
        part = pitch[round(start / 0.005) : round((start + 0.5) / 0.005)]
        assert 69 + 12 * np.log2(np.median(part[part > 0]) / 440) == pytest.approx(note, abs=0.5)
    spoken = speak(voice, np.random.default_rng(0))
    assert np.all(np.isfinite(spoken))
    assert 0.6 * 2 < len(spoken) / ENGINE_RATE < 1.5 * 2
    assert analyse_voice(np.zeros(ENGINE_RATE, np.float32)) is None


def test_without_scores_nothing_is_sung():
    voices = MaterialCollection(voices=(SoundClip("anna", Path("a.wav"), 0.0, 2.0),))
    rng = np.random.default_rng(0)
    assert "sung_music" not in SceneMaker(voices, rng, style=TRAINING_STYLE).kind_odds()
    singing = SungMusicMaker((Path("one.mid"),), (Path("one.sf2"),))
    assert "sung_music" in SceneMaker(voices, rng, style=TRAINING_STYLE, singing=singing).kind_odds()
    with pytest.raises(ValueError, match="requires scores"):
        SceneMaker(voices, rng).make_sung_track(4.0)


@pytest.mark.parametrize(
    "options", [["--scores", "."], ["--soundfonts", "a.sf2"], ["--scores", ".", "--soundfonts", "a"]]
)
def test_scores_and_soundfonts_are_asked_for_together(options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["programmes", "made", *options])
    with pytest.raises(SystemExit, match="2"):
        programmes.main()
    assert "score" in capsys.readouterr().err
