"""Training of the kind of sound: its gradient is one, it learns what can be learned, and folds keep sources apart."""

import sys

import numpy as np
import pytest

from streamseg.engine.sound_class.network import DECISION_LAG, SpeechMusicWeights
from streamseg.engine.sound_class.window_features import N_STATISTICS, WINDOW_FRAMES
from streamseg.evaluation.annotations import LabelledSpan, find_annotated_files
from streamseg.settings import ENGINE_RATE
from tools.training import network_trainer, sound_class_training
from tools.training.corpora import noises
from tools.training.corpora.programmes import join_scenes, write_programme
from tools.training.corpora.scenes import AnnotatedSound
from tools.training.network_trainer import NetworkTrainer
from tools.training.sound_class_training import (
    TrainingProgramme,
    describe_programme,
    fit_temperature,
    load_frames,
    predict_log_odds,
)


def scene(kind, label, source, seed):
    sound = (0.05 * noises.normalise_rms(noises.KINDS[kind](np.random.default_rng(seed), 16.0))).astype(np.float32)
    return AnnotatedSound(sound, (LabelledSpan(0.0, 16.0, label),), (LabelledSpan(0.0, 16.0, source),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three programmes in which rain plays the part of talk and a siren that of music."""
    out = tmp_path_factory.mktemp("programmes")
    for n in range(3):
        order = [("rain", "speech", f"voice_{n % 2}"), ("siren", "music", f"track_{n}"), ("knocks", "noise", "door")]
        scenes = [scene(*each, seed=10 * n + k) for k, each in enumerate(order * 4)]
        write_programme(join_scenes(scenes), out / f"radio_{n}")
    return out


def test_a_lesson_is_what_the_engine_hears_with_its_truth(folder, tmp_path):
    file = find_annotated_files(folder, "segments")[0]
    frames = load_frames(file, tmp_path)
    again = load_frames(file, tmp_path)
    lesson = describe_programme(file, frames)
    assert again == pytest.approx(frames, rel=1e-6)
    assert lesson.features.shape == (len(frames) // WINDOW_FRAMES, N_STATISTICS)
    assert lesson.sources == {"voice_0", "track_0", "door"}
    assert lesson.targets[5].tolist() == [1.0, 0.0]
    middle = round(24 * ENGINE_RATE / 512 / WINDOW_FRAMES)
    assert lesson.targets[middle].tolist() == [0.0, 1.0]
    edge = lesson.targets[round(16 * ENGINE_RATE / 512 / WINDOW_FRAMES) - 1 :][:2]
    assert np.all((edge[:, 0] + edge[:, 1]) == pytest.approx(1.0))


def test_the_gradient_is_the_slope_of_the_loss(monkeypatch):
    monkeypatch.setattr(network_trainer, "_DROPOUT", 0.0)
    rng = np.random.default_rng(0)
    lesson = TrainingProgramme(
        None, rng.normal(size=(300, N_STATISTICS)).astype("f4"), rng.integers(0, 2, (300, 2)).astype("f4"), frozenset()
    )
    trainer = NetworkTrainer([lesson], 0)
    trainer.weights = [w.astype(np.float64) for w in trainer.weights]
    told, answers = (x[:1].astype(np.float64) for x in trainer._draw_batch())
    told = np.clip(told, -4.0, 4.0)  # as the engine does

    def loss():
        net = trainer.to_weights()._replace(mean=np.zeros(N_STATISTICS), std=np.ones(N_STATISTICS))
        odds = predict_log_odds(TrainingProgramme(None, told[0], answers[0], frozenset()), net)[DECISION_LAG:]
        right = answers[0, :-DECISION_LAG]
        return (np.logaddexp(0, odds) - right * odds).sum() / len(told[0])

    slopes = trainer._gradients(told, answers)
    for w, slope in zip(trainer.weights, slopes, strict=True):
        at = tuple(rng.integers(0, n) for n in w.shape)
        kept = w[at]
        w[at] = kept + 1e-5
        above = loss()
        w[at] = kept - 1e-5
        below = loss()
        w[at] = kept
        assert slope[at] == pytest.approx((above - below) / 2e-5, rel=1e-3, abs=1e-7)


def test_it_learns_and_is_judged_on_what_it_has_not_heard(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "sound.npz"
    monkeypatch.setattr(
        sys, "argv",
        ["train_sound", str(out), str(folder), "--held-out", str(folder), "--frames", str(tmp_path), "--epochs", "10"],
    )  # fmt: skip
    with pytest.raises(ValueError, match="no programmes to train on"):
        sound_class_training.main()  # the door is in all of them
    for listed in folder.glob("*.sources.tsv"):
        listed.write_text(listed.read_text().replace("door", f"door_{listed.name}"))
    sound_class_training.main()
    said = capsys.readouterr().err
    row = next(line for line in said.splitlines() if line.startswith("held out: "))
    scores = dict(each.rsplit(" ", 1) for each in row.removeprefix("held out: ").split("; "))
    assert float(scores["speech, F1"]) > 0.85
    assert float(scores["music, F1"]) > 0.85
    with np.load(out) as arrays:
        network = SpeechMusicWeights(*(arrays[name] for name in SpeechMusicWeights._fields))
    assert network.w1.shape == (N_STATISTICS, network_trainer.HIDDEN_UNITS)


def test_temperature_makes_the_sure_less_sure():
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 6000)
    right = (rng.random(6000) < 1 / (1 + np.exp(-odds))).astype(float)
    assert fit_temperature(odds, right) == pytest.approx(1.0, abs=0.15)
    assert fit_temperature(3 * odds, right) == pytest.approx(3.0, abs=0.4)
