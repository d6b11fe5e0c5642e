"""Learning from the listener: small, bounded, kept, in force from the next epoch, and exactly repeatable."""

import asyncio
import json
import math
import pickle
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from streamseg.engine import Segmenter
from streamseg.engine.boundaries.feedback import (
    FEATURE_GROUPS,
    HISTORY_S,
    MAX_LOG_ODDS_SHIFT,
    FeedbackCorrector,
    FeedbackModel,
    FeedbackObservation,
    fit_feedback_model,
)
from streamseg.engine.features.texture import STEP_S, VECTOR_DIMS
from streamseg.engine.models.loader import load_boundary_model
from streamseg.errors import UsageError
from streamseg.live.feedback_store import FeedbackStore, StoredObservation
from streamseg.settings import make_settings
from streamseg.sources.demo_programme import SAMPLE_RATE
from streamseg.wire.envelope import decode_envelope
from streamseg.wire.events import BoundaryConfirmed, StreamStarted
from tools.command import run, start
from tools.load.plain_client import client

AGES = np.array([2, 4, 8, 16])
SURE = 3.0  # log-odds


def mark(right=False, moved=(1.0, 0.0, 0.0, 0.0), log_odds=SURE):
    return FeedbackObservation(distances=moved, log_odds=log_odds, is_boundary=right)


def shift(learned: FeedbackModel, moved) -> float:
    return learned.bias + float(np.dot(learned.weights, moved))


def odds(probability):
    return math.log(probability / (1 - probability))


class TestWhatIsLearned:
    def test_nothing_from_nothing(self):
        assert fit_feedback_model([]) is None

    def test_a_rejected_kind_becomes_less_likely_and_others_hardly(self):
        learned = fit_feedback_model(
            [mark(moved=(1.0, 0.0, 0.0, 0.0)), mark(moved=(0.0, 0.0, 0.0, 1.0), right=True)] * 20
        )
        assert shift(learned, (1.0, 0.0, 0.0, 0.0)) < -1
        assert shift(learned, (0.0, 0.0, 0.0, 1.0)) > shift(learned, (1.0, 0.0, 0.0, 0.0)) + 1

    def test_a_missed_kind_becomes_likelier(self):
        learned = fit_feedback_model([mark(right=True, log_odds=-3.0)] * 3)
        assert shift(learned, (1.0, 0.0, 0.0, 0.0)) > 1

    def test_what_the_judge_knew_teaches_little(self):
        learned = fit_feedback_model([mark(right=True, log_odds=6.0)] * 10)
        assert abs(shift(learned, (1.0, 1.0, 1.0, 1.0))) < 0.1

    def test_the_hash_is_of_the_numbers(self):
        once, again, other = (
            fit_feedback_model([mark()]),
            fit_feedback_model([mark()]),
            fit_feedback_model([mark(), mark()]),
        )
        assert once.hash == again.hash != other.hash


def pushed(lessons, probabilities, rng):
    return lessons.push(rng.normal(size=VECTOR_DIMS), np.full(len(AGES), probabilities))


class TestWhatIsBelieved:
    @given(
        st.floats(-50, 50),
        st.lists(st.floats(-50, 50), min_size=4, max_size=4),
        st.floats(1e-6, 1 - 1e-6),
        st.integers(0, 100),
    )
    def test_the_influence_is_bounded(self, bias, weights, probability, seed):
        rng = np.random.default_rng(seed)
        lessons = FeedbackCorrector(AGES, FeedbackModel(bias, tuple(weights)))
        for _ in range(20):
            believed = pushed(lessons, probability, rng)
        for one in believed:
            assert abs(odds(one) - odds(probability)) <= MAX_LOG_ODDS_SHIFT + 1e-6

    def test_untaught_it_changes_nothing(self):
        said = np.array([0.0, 0.3, 0.7, 1.0])
        assert np.array_equal(FeedbackCorrector(AGES, None).push(np.zeros(VECTOR_DIMS), said), said)

    def test_where_there_is_no_candidate_there_is_none(self):
        believed = FeedbackCorrector(AGES, FeedbackModel(50.0, (0.0,) * 4)).push(
            np.zeros(VECTOR_DIMS), np.zeros(len(AGES))
        )
        assert not believed.any()

    def test_it_recalls_the_likeliest_and_forgets_the_old(self):
        lessons = FeedbackCorrector(AGES, None)
        for step in range(1, round(HISTORY_S / STEP_S) + 400):
            vector = np.zeros(VECTOR_DIMS)
            vector[0] = 5.0 * (step > 300)  # a jump of timbre before step 300
            likely = np.where(step - AGES == 300, 0.9, 0.1)
            lessons.push(vector, likely)
            if step == 330:
                told = lessons.find_likeliest_candidate(290, 310)
                assert told.log_odds == pytest.approx(odds(0.9), abs=1e-5)
                assert told.distances[0] > 0.5 > max(told.distances[1:])
                assert told.distances[1:] == (0.0, 0.0, 0.0)
        assert lessons.find_likeliest_candidate(290, 310) is None
        assert lessons.find_likeliest_candidate(10**6, 10**6) is None


def scene(kind, seconds):
    t = np.arange(seconds * 22_050) / 22_050
    if kind:
        return np.random.default_rng(1).normal(0, 0.1, len(t)).astype(np.float32)
    return (0.1 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in (1, 2, 3))).astype(np.float32)


def test_an_engine_recalls_what_was_known_where_it_confirmed():
    engine = Segmenter(make_settings("room"))
    events = engine.push(np.concatenate([scene(0, 12), scene(1, 14)]))
    (said,) = [event.data for event in events if isinstance(event.data, BoundaryConfirmed)]
    told = engine.find_marked_candidate(said.t, "reject")
    slope, shift = load_boundary_model("room").calibration[
        1
    ]  # what is known is the judge's; what is said is calibrated
    assert slope * told.log_odds + shift >= odds(min(said.confidence, 0.99)) - 0.1
    assert told.distances[0] > 0.5
    assert engine.find_marked_candidate(said.t - 8, "reject").log_odds < told.log_odds
    again = pickle.loads(pickle.dumps(engine))
    assert again.find_marked_candidate(said.t, "reject") == told


def test_a_lesson_learned_is_named_and_lowers_what_it_spoke_of():
    sound = np.concatenate([scene(0, 12), scene(1, 14)])
    engine = Segmenter(make_settings("room"))
    (before,) = [event.data for event in engine.push(sound) if isinstance(event.data, BoundaryConfirmed)]
    learned = fit_feedback_model(
        [FeedbackObservation(is_boundary=False, **asdict(engine.find_marked_candidate(before.t, "reject")))]
    )
    events = Segmenter(make_settings("room"), feedback=learned).push(sound)
    assert events[0].data.hashes["lessons"] == learned.hash
    (after,) = [event.data for event in events if isinstance(event.data, BoundaryConfirmed)]
    assert 0 < odds(before.confidence) - odds(after.confidence) <= MAX_LOG_ODDS_SHIFT + 0.1


class TestTheBook:
    def test_a_second_word_on_one_boundary_replaces_the_first(self, tmp_path: Path):
        book = FeedbackStore(tmp_path / "deep" / "lessons.json")
        told = {"distances": (1.0, 0.0, 0.0, 0.0), "log_odds": SURE}
        book.add_observation("music", StoredObservation(is_boundary=False, epoch="e", t=30.0, **told))
        book.add_observation("music", StoredObservation(is_boundary=True, epoch="e", t=30.4, **told))
        book.add_observation("music", StoredObservation(is_boundary=False, epoch="f", t=30.0, **told))
        book.add_observation("dj", StoredObservation(is_boundary=False, epoch="e", t=30.0, **told))
        assert [(kept.is_boundary, kept.epoch) for kept in book.list_observations("music")] == [
            (True, "e"),
            (False, "f"),
        ]
        assert book.fit_model("music") == fit_feedback_model(book.list_observations("music"))
        assert book.fit_model("broadcast") is None
        assert book.delete_all() == 3
        assert book.fit_model("music") is None

    def test_a_damaged_one_says_what_to_do(self, tmp_path: Path):
        path = tmp_path / "lessons.json"
        path.write_text('{"music": [{"right"')
        with pytest.raises(UsageError, match=f"--forget --lessons {path}"):
            FeedbackStore(path).fit_model("music")
        done = run("analyze", "-", "--lessons", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert run("lessons", "--forget", "--lessons", path).returncode == 0
        assert not path.exists()


def served(pcm: bytes, lessons: Path, save: Path, verdict: str | None):
    """What a server says of that sound on its standard input; meanwhile somebody marks the first boundary."""

    async def hear(port: int, serving) -> list:
        async with client(port, token="secret") as listener:
            said, marked = [], False
            await asyncio.to_thread(serving.process.stdin.buffer.write, pcm)
            serving.process.stdin.buffer.flush()
            if verdict is None:
                serving.process.stdin.close()
            while True:
                said.append(decode_envelope(json.dumps(await listener.wait_for("event", 60.0))))
                fact = said[-1].data
                if isinstance(fact, BoundaryConfirmed) and verdict and not marked:
                    marked = True
                    answer = await listener.ask("mark", stream="line", t=fact.t, verdict=verdict)
                    assert answer["ok"], answer
                    late = await listener.ask("mark", stream="line", t=1e6, verdict=verdict)
                    assert not late["ok"]
                    assert "remembers" in late["error"]["message"]
                    serving.process.stdin.close()
                if said[-1].type == "streamseg.stream.stopped.v1":
                    return said

    options = [
        "--control-token",
        "secret",
        "--port",
        "0",
        "-p",
        "broadcast",
        "--no-history",
        "--channels",
        "1",
        "--sample-rate",
        str(SAMPLE_RATE),
    ]
    with start("serve", "line=-", *options, "--lessons", lessons, "--save", save, stdin=subprocess.PIPE) as serving:
        address = serving.wait_for_address()
        said = asyncio.run(asyncio.wait_for(hear(int(address.rsplit(":", 1)[1].split("/")[0]), serving), 60))
        serving.process.wait(60)
    return said


def first_confirmed(said):
    return next(one.data for one in said if isinstance(one.data, BoundaryConfirmed))


def test_a_mark_over_the_socket_is_in_force_after_a_restart_and_replays_exactly(programme: Path, tmp_path: Path):
    sound = (soundfile.read(programme, frames=28 * SAMPLE_RATE)[0] * 32767).astype("<i2")
    lessons, kept = tmp_path / "lessons.json", tmp_path / "kept.wav"
    before = served(sound.tobytes(), lessons, tmp_path / "unused.wav", "reject")
    assert len(FeedbackStore(lessons).list_observations("broadcast")) == 1
    assert "broadcast" in run("lessons", "--lessons", lessons).stdout

    after = served(sound.tobytes(), lessons, kept, None)
    starts = [next(one.data for one in said if isinstance(one.data, StreamStarted)) for said in (before, after)]
    assert [start.hashes["lessons"] for start in starts] == ["none", FeedbackStore(lessons).fit_model("broadcast").hash]
    lowered = odds(first_confirmed(before).confidence) - odds(first_confirmed(after).confidence)
    assert 0 < lowered <= MAX_LOG_ODDS_SHIFT + 0.1

    def analysed(*options):
        done = run("analyze", kept, "-p", "broadcast", *options)
        assert done.returncode == 0, done.stderr
        return [decode_envelope(line) for line in done.stdout.splitlines()]

    assert [one.event for one in analysed("--lessons", lessons)[1:]] == [one.event for one in after[1:]]
    unlearned = analysed()
    assert unlearned[0].data.hashes["lessons"] == "none"
    assert first_confirmed(unlearned) == first_confirmed(before)


def test_parts_have_a_weight_each():
    assert len(fit_feedback_model([mark()]).weights) == len(FEATURE_GROUPS)
