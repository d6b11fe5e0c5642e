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
from command import run, start
from hypothesis import given
from hypothesis import strategies as st
from load.listener import client

from streamseg.cli.lessonbook import Kept, Lessonbook
from streamseg.engine import Segmenter
from streamseg.engine.lessons import MOST_SHIFT, PARTS, REMEMBERED_S, Lessons, Mark, Taught, taught
from streamseg.engine.texture import STEP_S, VECTOR_DIMS
from streamseg.envelope import decode
from streamseg.errors import AskedWrongly
from streamseg.events import BoundaryConfirmed, StreamStarted
from streamseg.settings import settings_for
from streamseg.sources.programme import SAMPLE_RATE
from streamseg.weights import shipped_model

AGES = np.array([2, 4, 8, 16])
SURE = 3.0  # log-odds


def mark(right=False, moved=(1.0, 0.0, 0.0, 0.0), log_odds=SURE):
    return Mark(moved=moved, log_odds=log_odds, right=right)


def shift(learned: Taught, moved) -> float:
    return learned.bias + float(np.dot(learned.weights, moved))


def odds(probability):
    return math.log(probability / (1 - probability))


class TestWhatIsLearned:
    def test_nothing_from_nothing(self):
        assert taught([]) is None

    def test_a_rejected_kind_becomes_less_likely_and_others_hardly(self):
        learned = taught([mark(moved=(1.0, 0.0, 0.0, 0.0)), mark(moved=(0.0, 0.0, 0.0, 1.0), right=True)] * 20)
        assert shift(learned, (1.0, 0.0, 0.0, 0.0)) < -1
        assert shift(learned, (0.0, 0.0, 0.0, 1.0)) > shift(learned, (1.0, 0.0, 0.0, 0.0)) + 1

    def test_a_missed_kind_becomes_likelier(self):
        learned = taught([mark(right=True, log_odds=-3.0)] * 3)
        assert shift(learned, (1.0, 0.0, 0.0, 0.0)) > 1

    def test_what_the_judge_knew_teaches_little(self):
        learned = taught([mark(right=True, log_odds=6.0)] * 10)
        assert abs(shift(learned, (1.0, 1.0, 1.0, 1.0))) < 0.1

    def test_the_hash_is_of_the_numbers(self):
        once, again, other = taught([mark()]), taught([mark()]), taught([mark(), mark()])
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
        lessons = Lessons(AGES, Taught(bias, tuple(weights)))
        for _ in range(20):
            believed = pushed(lessons, probability, rng)
        for one in believed:
            assert abs(odds(one) - odds(probability)) <= MOST_SHIFT + 1e-6

    def test_untaught_it_changes_nothing(self):
        said = np.array([0.0, 0.3, 0.7, 1.0])
        assert np.array_equal(Lessons(AGES, None).push(np.zeros(VECTOR_DIMS), said), said)

    def test_where_there_is_no_candidate_there_is_none(self):
        believed = Lessons(AGES, Taught(50.0, (0.0,) * 4)).push(np.zeros(VECTOR_DIMS), np.zeros(len(AGES)))
        assert not believed.any()

    def test_it_recalls_the_likeliest_and_forgets_the_old(self):
        lessons = Lessons(AGES, None)
        for step in range(1, round(REMEMBERED_S / STEP_S) + 400):
            vector = np.zeros(VECTOR_DIMS)
            vector[0] = 5.0 * (step > 300)  # a jump of timbre before step 300
            likely = np.where(step - AGES == 300, 0.9, 0.1)
            lessons.push(vector, likely)
            if step == 330:
                told = lessons.recall(290, 310)
                assert told.log_odds == pytest.approx(odds(0.9), abs=1e-5)
                assert told.moved[0] > 0.5 > max(told.moved[1:])
                assert told.moved[1:] == (0.0, 0.0, 0.0)
        assert lessons.recall(290, 310) is None
        assert lessons.recall(10**6, 10**6) is None


def scene(kind, seconds):
    t = np.arange(seconds * 22_050) / 22_050
    if kind:
        return np.random.default_rng(1).normal(0, 0.1, len(t)).astype(np.float32)
    return (0.1 * sum(np.sin(2 * np.pi * 220 * k * t) / k for k in (1, 2, 3))).astype(np.float32)


def test_an_engine_recalls_what_was_known_where_it_confirmed():
    engine = Segmenter(settings_for("room"))
    events = engine.push(np.concatenate([scene(0, 12), scene(1, 14)]))
    (said,) = [event.data for event in events if isinstance(event.data, BoundaryConfirmed)]
    told = engine.recall(said.t, "reject")
    slope, shift = shipped_model("room").spoken[1]  # what is known is the judge's; what is said is calibrated
    assert slope * told.log_odds + shift >= odds(min(said.confidence, 0.99)) - 0.1
    assert told.moved[0] > 0.5
    assert engine.recall(said.t - 8, "reject").log_odds < told.log_odds
    again = pickle.loads(pickle.dumps(engine))
    assert again.recall(said.t, "reject") == told


def test_a_lesson_learned_is_named_and_lowers_what_it_spoke_of():
    sound = np.concatenate([scene(0, 12), scene(1, 14)])
    engine = Segmenter(settings_for("room"))
    (before,) = [event.data for event in engine.push(sound) if isinstance(event.data, BoundaryConfirmed)]
    learned = taught([Mark(right=False, **asdict(engine.recall(before.t, "reject")))])
    events = Segmenter(settings_for("room"), taught=learned).push(sound)
    assert events[0].data.hashes["lessons"] == learned.hash
    (after,) = [event.data for event in events if isinstance(event.data, BoundaryConfirmed)]
    assert 0 < odds(before.confidence) - odds(after.confidence) <= MOST_SHIFT + 0.1


class TestTheBook:
    def test_a_second_word_on_one_boundary_replaces_the_first(self, tmp_path: Path):
        book = Lessonbook(tmp_path / "deep" / "lessons.json")
        told = {"moved": (1.0, 0.0, 0.0, 0.0), "log_odds": SURE}
        book.note("music", Kept(right=False, epoch="e", t=30.0, **told))
        book.note("music", Kept(right=True, epoch="e", t=30.4, **told))
        book.note("music", Kept(right=False, epoch="f", t=30.0, **told))
        book.note("dj", Kept(right=False, epoch="e", t=30.0, **told))
        assert [(kept.right, kept.epoch) for kept in book.marks("music")] == [(True, "e"), (False, "f")]
        assert book.taught("music") == taught(book.marks("music"))
        assert book.taught("broadcast") is None
        assert book.forget() == 3
        assert book.taught("music") is None

    def test_a_damaged_one_says_what_to_do(self, tmp_path: Path):
        path = tmp_path / "lessons.json"
        path.write_text('{"music": [{"right"')
        with pytest.raises(AskedWrongly, match="--forget"):
            Lessonbook(path).taught("music")
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
                said.append(decode(json.dumps(await listener.wait_for("event", 60.0))))
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
    assert len(Lessonbook(lessons).marks("broadcast")) == 1
    assert "broadcast" in run("lessons", "--lessons", lessons).stdout

    after = served(sound.tobytes(), lessons, kept, None)
    starts = [next(one.data for one in said if isinstance(one.data, StreamStarted)) for said in (before, after)]
    assert [start.hashes["lessons"] for start in starts] == ["none", Lessonbook(lessons).taught("broadcast").hash]
    lowered = odds(first_confirmed(before).confidence) - odds(first_confirmed(after).confidence)
    assert 0 < lowered <= MOST_SHIFT + 0.1

    def analysed(*options):
        done = run("analyze", kept, "-p", "broadcast", *options)
        assert done.returncode == 0, done.stderr
        return [decode(line) for line in done.stdout.splitlines()]

    assert [one.event for one in analysed("--lessons", lessons)[1:]] == [one.event for one in after[1:]]
    unlearned = analysed()
    assert unlearned[0].data.hashes["lessons"] == "none"
    assert first_confirmed(unlearned) == first_confirmed(before)


def test_parts_have_a_weight_each():
    assert len(taught([mark()]).weights) == len(PARTS)
