"""Generated programmes: the truth is what was made, the same seed makes the same, what is excluded stays out."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from streamseg.evaluation.annotations import find_annotated_files, read_spans
from streamseg.evaluation.sound_class_scores import TRUTH_CLASSES
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import decode_file, material, noises, programmes
from tools.training.corpora.material import DecodedCache
from tools.training.corpora.programmes import make_programme, write_programme
from tools.training.corpora.scenes import BROADCAST_STYLE, SceneMaker

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    root = tmp_path_factory.mktemp("material")
    for name, folder, seconds in (
        ("a", "voices/anna", 2.0), ("b", "voices/bert", 3.0), ("c", "voices/anna", 0.5),
        ("one", "music", 70.0), ("two", "music", 70.0), ("sting", "music", 4.0), ("saw", "noises", 3.0),
    ):  # fmt: skip
        (root / folder).mkdir(parents=True, exist_ok=True)
        soundfile.write(root / folder / f"{name}.wav", RNG.normal(0, 0.05, round(8_000 * seconds)), 8_000)
    return material.material_from_folders([root / "voices"], [root / "music"], [root / "noises"])


def made(stock, seed, seconds=90):
    return make_programme(
        SceneMaker(stock, np.random.default_rng(seed), style=replace(BROADCAST_STYLE, scene_s=(6.0, 20.0))), seconds
    )


def test_folders_are_sorted_by_what_they_hold(stock):
    assert [clip.source for clip in stock.voices] == ["anna", "bert"]  # half a second is no utterance
    assert {clip.source for clip in stock.music} == {"one", "two"}
    assert {clip.source for clip in stock.jingles} == {"sting"}


@pytest.mark.parametrize("seed", range(4))
def test_the_truth_covers_the_sound(stock, seed):
    told = made(stock, seed)
    assert told.segments[0].start == 0
    assert all(a.end == pytest.approx(b.start) for a, b in zip(told.segments, told.segments[1:], strict=False))
    assert all(a.label != b.label for a, b in zip(told.segments, told.segments[1:], strict=False))
    assert told.segments[-1].end == pytest.approx(len(told.sound) / ENGINE_RATE)
    assert {span.label for span in told.segments} <= set(TRUTH_CLASSES)
    assert np.all(np.abs(told.sound) <= 1.5)
    assert all(0 <= span.start < span.end <= told.segments[-1].end + 1e-6 for span in told.sources)


def test_the_same_seed_makes_the_same_and_another_does_not(stock):
    first, again, other = made(stock, 5), made(stock, 5), made(stock, 6)
    assert first.segments == again.segments
    assert np.array_equal(first.sound, again.sound)
    assert first.segments != other.segments


def test_what_is_excluded_stays_out(stock):
    left = stock.exclude_sources(["Anna", "two", "noise_rain"])
    told = [span.label for seed in range(6) for span in made(left, seed).sources]
    assert "bert" in told
    assert not {"anna", "two"} & set(told)


def test_dead_air_is_silent_and_talk_over_music_is_both(stock):
    looked_at = set()
    for seed in range(6):
        told = made(stock, seed)
        for span in told.segments:
            looked_at.add(span.label)
            part = told.sound[round(span.start * ENGINE_RATE) + 400 : round(span.end * ENGINE_RATE) - 400]
            if span.label == "silence":
                assert np.sqrt(np.mean(part**2)) < 1e-3
            if span.label == "speech_over_music":
                inside = {s.label for s in told.sources if s.start < span.end - 1e-6 and s.end > span.start + 1e-6}
                assert inside & {"anna", "bert"}
                assert inside & {"one", "two"}
    assert looked_at >= {"silence", "speech_over_music"}


def test_what_is_written_is_read_as_annotated_and_cut_again(stock, tmp_path):
    told = made(stock, 7)
    write_programme(told, tmp_path / "radio")
    file = find_annotated_files(tmp_path)[0]
    assert [span.label for span in file.segments] == [span.label for span in told.segments]
    sound = decode_file(file.audio)
    assert np.allclose(sound, np.clip(told.sound, -1, 1), atol=1e-3)
    clips = material.material_from_programmes(tmp_path)
    assert {clip.source for clip in clips.voices} == {"anna", "bert"}
    for clip in clips.voices:
        assert len(DecodedCache().get_clip(clip)) == pytest.approx((clip.end_s - clip.start_s) * ENGINE_RATE, abs=2)


@pytest.mark.parametrize("kind", sorted(noises.KINDS))
def test_every_noise_sounds_and_is_a_number(kind):
    for seed in range(3):
        sound = noises.KINDS[kind](np.random.default_rng(seed), 2.5)
        assert sound.shape == (noises.sample_count(2.5),)
        assert np.all(np.isfinite(sound))
        assert sound.std() > 0


def test_the_command_writes_programmes(stock, tmp_path, monkeypatch):
    folder = stock.voices[0].path.parents[2]
    (tmp_path / "out").write_text("two\n")
    monkeypatch.setattr(
        "sys.argv",
        ["programmes", str(tmp_path / "made"), "--voices", str(folder / "voices"), "--music", str(folder / "music"),
         "--exclude", str(tmp_path / "out"), "--number", "2", "--minutes", "0.5"],
    )  # fmt: skip
    programmes.main()
    listed = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert len(listed) == 6
    sources = [span.label for path in (tmp_path / "made").glob("*.sources.tsv") for span in read_spans(path)]
    assert "one" in sources
    assert "two" not in sources
