"""Training of the kind of sound: its gradient is one, it learns what can be learned, and folds keep sources apart."""

import sys

import numpy as np
import pytest

from streamseg.engine.models.sound import Network
from streamseg.engine.sound.describing import BLOCK, STATS
from streamseg.engine.sound.network import LAG
from streamseg.evaluation import train_sound
from streamseg.evaluation.annotations import Span, annotated_files
from streamseg.evaluation.generated import noises
from streamseg.evaluation.generated.programmes import Scene, joined, write
from streamseg.evaluation.train_sound import Lesson, Trainer, frames_kept, lesson_of, odds_of, temperature_of
from streamseg.settings import ENGINE_RATE


def scene(kind, label, source, seed):
    sound = (0.05 * noises.unit(noises.KINDS[kind](np.random.default_rng(seed), 16.0))).astype(np.float32)
    return Scene(sound, (Span(0.0, 16.0, label),), (Span(0.0, 16.0, source),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three programmes in which rain plays the part of talk and a siren that of music."""
    out = tmp_path_factory.mktemp("programmes")
    for n in range(3):
        order = [("rain", "speech", f"voice_{n % 2}"), ("siren", "music", f"track_{n}"), ("knocks", "noise", "door")]
        scenes = [scene(*each, seed=10 * n + k) for k, each in enumerate(order * 4)]
        write(joined(scenes), out / f"radio_{n}")
    return out


def test_a_lesson_is_what_the_engine_hears_with_its_truth(folder, tmp_path):
    file = annotated_files(folder, "segments")[0]
    frames = frames_kept(file, tmp_path)
    again = frames_kept(file, tmp_path)
    lesson = lesson_of(file, frames)
    assert again == pytest.approx(frames, rel=1e-6)
    assert lesson.stats.shape == (len(frames) // BLOCK, STATS)
    assert lesson.sources == {"voice_0", "track_0", "door"}
    assert lesson.answers[5].tolist() == [1.0, 0.0]
    middle = round(24 * ENGINE_RATE / 512 / BLOCK)
    assert lesson.answers[middle].tolist() == [0.0, 1.0]
    edge = lesson.answers[round(16 * ENGINE_RATE / 512 / BLOCK) - 1 :][:2]
    assert np.all((edge[:, 0] + edge[:, 1]) == pytest.approx(1.0))


def test_the_gradient_is_the_slope_of_the_loss(monkeypatch):
    monkeypatch.setattr(train_sound, "_DROPPED", 0.0)
    rng = np.random.default_rng(0)
    lesson = Lesson(
        None, rng.normal(size=(300, STATS)).astype("f4"), rng.integers(0, 2, (300, 2)).astype("f4"), frozenset()
    )
    trainer = Trainer([lesson], 0)
    trainer.weights = [w.astype(np.float64) for w in trainer.weights]
    told, answers = (x[:1].astype(np.float64) for x in trainer._batch())
    told = np.clip(told, -4.0, 4.0)  # as the engine does

    def loss():
        net = trainer.network()._replace(mean=np.zeros(STATS), deviation=np.ones(STATS))
        odds = odds_of(Lesson(None, told[0], answers[0], frozenset()), net)[LAG:]
        right = answers[0, :-LAG]
        return (np.logaddexp(0, odds) - right * odds).sum() / len(told[0])

    slopes = trainer._slopes(told, answers)
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
    with pytest.raises(ValueError, match="nothing to learn from"):
        train_sound.main()  # the door is in all of them
    for listed in folder.glob("*.sources.tsv"):
        listed.write_text(listed.read_text().replace("door", f"door_{listed.name}"))
    train_sound.main()
    said = capsys.readouterr().err
    row = next(line for line in said.splitlines() if line.startswith("held out: "))
    scores = dict(each.rsplit(" ", 1) for each in row.removeprefix("held out: ").split("; "))
    assert float(scores["speech, F1"]) > 0.85
    assert float(scores["music, F1"]) > 0.85
    with np.load(out) as arrays:
        network = Network(*(arrays[name] for name in Network._fields))
    assert network.w1.shape == (STATS, train_sound.HIDDEN)


def test_temperature_makes_the_sure_less_sure():
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 2, 6000)
    right = (rng.random(6000) < 1 / (1 + np.exp(-odds))).astype(float)
    assert temperature_of(odds, right) == pytest.approx(1.0, abs=0.15)
    assert temperature_of(3 * odds, right) == pytest.approx(3.0, abs=0.4)
