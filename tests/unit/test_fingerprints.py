"""Taught cue sounds: found to the frame, under talk, at any level, whatever the block sizes; and nothing else is."""

import json
import pickle

import numpy as np
import pytest
import soundfile

from streamseg.engine import Segmenter
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.fingerprints.fingerprint import MAX_DURATION_S, fingerprint_from_bytes, make_fingerprint
from streamseg.engine.fingerprints.matcher import FingerprintMatcher
from streamseg.engine.named_sounds import NamedSound, NamedSounds
from streamseg.engine.packed_arrays import pack_arrays
from streamseg.errors import UsageError
from streamseg.evaluation.annotations import LabelledSpan
from streamseg.live.name_store import NameStore
from streamseg.settings import ENGINE_RATE, HOP, make_settings
from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme
from streamseg.wire.events import BoundaryConfirmed, SectionClosed, SectionUpdated
from tools.accuracy.fingerprints import insert_jingles, make_melody, match_detections
from tools.command import run
from tools.training.corpora import degradation, noises
from tools.training.corpora.programmes import join_scenes
from tools.training.corpora.scenes import AnnotatedSound

JINGLE = make_melody(np.random.default_rng(2))
OTHER = make_melody(np.random.default_rng(4))


def radio(seconds, seed=1):
    """Restless noise in syllables: as loud and as uneven as talk."""
    rng = np.random.default_rng(seed)
    bands = [
        noises.coloured_noise(rng, seconds, 2, hz, 2 * hz) * noises.random_curve(rng, seconds, 0.15, 0.0, 1.0)
        for hz in (150, 300, 600, 1200, 2400, 4800)
    ]
    return (0.05 * noises.normalise_rms(np.sum(bands, axis=0))).astype(np.float32)


def with_it(sound, at_s, jingle=JINGLE, gain=1.0):
    out = sound.copy()
    start = noises.sample_count(at_s)
    out[start : start + len(jingle)] += gain * jingle
    return out


def found(sound, *cues):
    """(name, seconds) of what is found in a sound."""
    known = cues or (make_fingerprint("jingle", JINGLE), make_fingerprint("other", OTHER))
    return [
        (each.name, each.start_frame * HOP / ENGINE_RATE)
        for each in FingerprintMatcher(known).push(FeatureExtractor().push(sound))
    ]


class TestFinding:
    @pytest.mark.parametrize("at_s", [3.0, 7.777, 12.01])
    @pytest.mark.parametrize("gain", [0.02, 1.0])
    def test_it_is_found_where_it_starts_however_loud(self, at_s, gain):
        out = np.concatenate([radio(at_s) * gain, JINGLE * gain, radio(6.0, 2) * gain])
        assert found(out) == [("jingle", pytest.approx(at_s, abs=0.05))]

    def test_under_talk_twelve_decibels_louder(self):
        talk = np.tile(render_programme()[: 14 * SAMPLE_RATE : 2, 0], 2)
        out = with_it(talk, 17.0, gain=10 ** (-12 / 20) * talk.std() / JINGLE.std())
        assert found(out) == [("jingle", pytest.approx(17.0, abs=0.1))]

    @pytest.mark.parametrize("codec", sorted(degradation.CODECS))
    def test_re_encoded_at_64_kbit(self, codec):
        out = degradation.apply_codec(np.concatenate([radio(8.0), JINGLE, radio(5.0, 2)]), codec, 64)
        assert found(out) == [("jingle", pytest.approx(8.0, abs=0.1))]

    def test_every_time_it_comes_and_each_its_own(self):
        out = np.concatenate([radio(5.0), JINGLE, radio(5.0, 2), OTHER, radio(5.0, 3), JINGLE, radio(5.0, 4)])
        a, b = len(JINGLE) / ENGINE_RATE, len(OTHER) / ENGINE_RATE
        names, times = zip(*found(out), strict=True)
        assert names == ("jingle", "other", "jingle")
        assert times == pytest.approx((5.0, 10.0 + a, 15.0 + a + b), abs=0.05)

    def test_nothing_else_is(self):
        assert found(np.concatenate([radio(40.0), np.zeros(ENGINE_RATE * 5, np.float32), radio(10.0, 5)])) == []
        out = render_programme()[::2, 0]
        assert found(np.ascontiguousarray(out)) == []

    def test_half_of_it_is_not_it(self):
        half = JINGLE[len(JINGLE) // 2 :]
        assert found(np.concatenate([radio(8.0), half, radio(8.0, 2)]), make_fingerprint("jingle", JINGLE)) == []

    def test_it_is_known_before_it_is_over(self):
        assert FingerprintMatcher((make_fingerprint("jingle", JINGLE),)).max_detection_delay_from_start_s < 2.7
        assert (
            FingerprintMatcher((make_fingerprint("short", JINGLE[: 2 * ENGINE_RATE]),)).max_detection_delay_from_start_s
            < 2.3
        )
        assert FingerprintMatcher(()).max_detection_delay_from_start_s == 0.0

    def test_one_that_begins_over_and_over_is_found_where_it_begins_first(self):
        stutter = np.tile(JINGLE[:ENGINE_RATE], 6)
        out = np.concatenate([radio(7.0), stutter, radio(9.0, 2)])
        assert found(out, make_fingerprint("stutter", stutter)) == [("stutter", pytest.approx(7.0, abs=0.05))]

    def test_pushes_of_any_size_and_a_checkpoint_do_not_show(self):
        out = with_it(radio(20.0), 6.0)
        frames = FeatureExtractor().push(out)
        whole = FingerprintMatcher((make_fingerprint("jingle", JINGLE),)).push(frames)
        cut = FingerprintMatcher((make_fingerprint("jingle", JINGLE),))
        pieces = []
        for at in range(0, len(frames), 7):
            cut = pickle.loads(pickle.dumps(cut))
            pieces += cut.push(frames[at : at + 7])
        assert pieces == whole
        assert len(whole) == 1


class TestLearning:
    def test_what_is_kept_comes_back(self):
        cue = make_fingerprint("x", JINGLE)
        again = fingerprint_from_bytes("x", cue.to_bytes())
        assert np.array_equal(again.rows, cue.rows)
        assert fingerprint_from_bytes("x", again.to_bytes()).to_bytes() == cue.to_bytes()
        assert len(cue.to_bytes()) < 60_000

    def test_a_long_sound_is_known_by_its_beginning(self):
        assert make_fingerprint("x", radio(30.0)).compared_duration_s == pytest.approx(MAX_DURATION_S, abs=0.1)

    @pytest.mark.parametrize(
        ("sound", "why"),
        [
            (JINGLE[:ENGINE_RATE], "1.0 s is too short to be recognised"),
            (np.zeros(0, np.float32), "0.0 s is too short to be recognised"),
            (np.zeros(ENGINE_RATE * 4, np.float32), "this sound hardly changes"),
        ],
    )
    def test_what_cannot_be_known_is_refused(self, sound, why):
        with pytest.raises(UsageError, match=why):
            make_fingerprint("x", sound)

    @pytest.mark.parametrize(
        "content", [b"", pack_arrays(mean=np.zeros(3)), pack_arrays(rows=np.zeros((5, 3), np.int8))]
    )
    def test_another_versions_cue_says_so(self, content):
        with pytest.raises(UsageError, match="teach it again"):
            fingerprint_from_bytes("x", content)


def memory(**jingles):
    return NamedSounds(
        tuple(
            NamedSound(name=name, kind="cue", content=make_fingerprint(name, x).to_bytes())
            for name, x in jingles.items()
        )
    )


def said(sound, known, size=5000, profile="broadcast"):
    segmenter = Segmenter(make_settings(profile), named_sounds=known)
    events = [event for at in range(0, len(sound), size) for event in segmenter.push(sound[at : at + size])]
    return events + segmenter.finish()


class TestSnapping:
    SOUND = np.concatenate([radio(14.0), JINGLE, render_programme()[::2, 0][14 * ENGINE_RATE : 40 * ENGINE_RATE]])

    @pytest.mark.parametrize("profile", ["broadcast", "music"])
    def test_a_boundary_lies_exactly_where_it_starts_and_the_section_bears_its_name(self, profile):
        events = said(self.SOUND, memory(News=JINGLE), profile=profile)
        snapped = [
            event.data for event in events if isinstance(event.data, BoundaryConfirmed) and event.data.snapped_to
        ]
        assert [fact.snapped_to for fact in snapped] == ["cue:News"]
        assert snapped[0].t == pytest.approx(14.0, abs=0.05)
        assert snapped[0].decided_t - snapped[0].t < 2.7
        assert snapped[0].confidence > 0.9
        opened = snapped[0].next.section_id
        named = [event.data for event in events if isinstance(event.data, SectionUpdated) and event.data.name]
        assert {fact.section_id for fact in named} == {opened}
        closed = {event.data.section_id: event.data.name for event in events if isinstance(event.data, SectionClosed)}
        assert closed[opened] == "News"
        assert [name for section, name in closed.items() if section != opened] == [None] * (len(closed) - 1)

    def test_soon_after_another_boundary_it_makes_its_own(self):
        talk, piece = radio(20.0), np.ascontiguousarray(render_programme()[28 * ENGINE_RATE : 60 * ENGINE_RATE : 2, 0])
        sound = np.concatenate([talk, piece[: round(1.5 * ENGINE_RATE)], JINGLE, piece])
        events = said(sound, memory(News=JINGLE))
        snapped = [
            event.data.t for event in events if isinstance(event.data, BoundaryConfirmed) and event.data.snapped_to
        ]
        assert snapped == [pytest.approx(21.5, abs=0.05)]

    def test_without_the_memory_nothing_is_snapped(self):
        events = said(self.SOUND, NamedSounds())
        assert not [event for event in events if isinstance(event.data, BoundaryConfirmed) and event.data.snapped_to]

    def test_beneath_talk_it_makes_a_boundary_of_its_own(self):
        talk = radio(40.0)
        events = said(with_it(talk, 20.0, gain=0.5 * talk.std() / JINGLE.std()), memory(News=JINGLE))
        times = [event.data.t for event in events if isinstance(event.data, BoundaryConfirmed)]
        assert times == [pytest.approx(20.0, abs=0.1)]

    @pytest.mark.parametrize("size", [333, 22_051])
    def test_block_sizes_do_not_show(self, size):
        assert said(self.SOUND, memory(News=JINGLE), size) == said(self.SOUND, memory(News=JINGLE), 10**7)

    def test_the_boundaries_stay_in_the_order_of_time(self):
        sound = np.concatenate([self.SOUND, JINGLE[: len(JINGLE) // 2], JINGLE, radio(9.0, 7)])
        times = [
            event.data.t for event in said(sound, memory(News=JINGLE)) if isinstance(event.data, BoundaryConfirmed)
        ]
        assert times == sorted(set(times))
        assert len(times) >= 2


def test_the_bench_lays_cues_in_where_it_says():
    rng = np.random.default_rng(5)
    parts = join_scenes([speech_scene(40.0), speech_scene(30.0)])
    sound, truth = insert_jingles(parts, [("jingle", JINGLE)], rng, reencoded=False)
    assert len(truth) >= 2
    pairs, wrong = match_detections(
        truth, [(name, t, 2.0) for name, t in found(sound, make_fingerprint("jingle", JINGLE))]
    )
    assert len(pairs) >= len(truth) - 1
    assert wrong == []


def speech_scene(seconds):
    sound = radio(seconds, round(seconds))
    return AnnotatedSound(sound, (LabelledSpan(0.0, len(sound) / ENGINE_RATE, "speech"),), ())


class TestCommand:
    def test_teach_and_analyze(self, tmp_path):
        soundfile.write(tmp_path / "jingle.wav", JINGLE, ENGINE_RATE)
        show = np.concatenate([render_programme()[::2, 0], JINGLE, radio(6.0)])
        soundfile.write(tmp_path / "show.wav", show, ENGINE_RATE)
        kept = tmp_path / "memory.sqlite"
        taught = run("teach", tmp_path / "jingle.wav", "--name", "News", "--memory", kept)
        assert taught.returncode == 0, taught.stderr
        assert "learned 'News'" in taught.stderr
        assert "have this name" not in taught.stderr
        heard = run("analyze", tmp_path / "show.wav", "-p", "broadcast", "--memory", kept)
        facts = [json.loads(line)["data"] for line in heard.stdout.splitlines()]
        snapped = [fact["t"] for fact in facts if fact.get("snapped_to") == "cue:News"]
        assert snapped == [pytest.approx(len(render_programme()[::2]) / ENGINE_RATE, abs=0.05)]
        twice = run("teach", tmp_path / "jingle.wav", "--name", "News", "--memory", kept)
        assert "2 sounds have this name now, and each is recognised (--forget deletes all)" in twice.stderr
        assert run("teach", "--forget", "--name", "News", "--memory", kept).returncode == 0
        again = run("teach", "--forget", "--name", "News", "--memory", kept)
        assert again.returncode == 2
        assert "no sound has the name 'News'" in again.stderr

    def test_from_and_to_cut_it_out(self, tmp_path):
        soundfile.write(tmp_path / "show.flac", np.concatenate([radio(7.0), JINGLE, radio(3.0)]), ENGINE_RATE)
        end = 7.0 + len(JINGLE) / ENGINE_RATE
        kept = tmp_path / "memory.sqlite"
        run("teach", tmp_path / "show.flac", "--name", "J", "--from", "7", "--to", str(end), "--memory", kept)
        (entry,) = NameStore(kept).list_entries()
        assert found(with_it(radio(12.0, 9), 4.0), fingerprint_from_bytes(entry.name, entry.content)) == [
            ("J", pytest.approx(4.0, abs=0.05))
        ]

    def test_what_is_too_short_says_so(self, tmp_path):
        soundfile.write(tmp_path / "short.wav", JINGLE[:8000], ENGINE_RATE)
        told = run("teach", tmp_path / "short.wav", "--name", "x", "--memory", tmp_path / "m.sqlite")
        assert told.returncode == 2
        assert "is too short to be recognised" in told.stderr

    def test_times_that_are_not_in_the_file_say_so(self, tmp_path):
        soundfile.write(tmp_path / "show.wav", radio(65.0), ENGINE_RATE)
        for times, said in (
            (("--from", "8", "--to", "6.5"), "--to is before --from: the sound would go from 8 to 6.5 s"),
            (("--from", "500"), "--from is after the end of the sound (1:05.0): 500 s; give a time below 65.0 s"),
        ):
            told = run("teach", tmp_path / "show.wav", "--name", "x", *times, "--memory", tmp_path / "m.sqlite")
            assert told.returncode == 2, told
            assert said in told.stderr

    def test_a_truncated_file_teaches_only_what_is_whole_before_the_cut(self, tmp_path):
        cut, kept = tmp_path / "cut.wav", tmp_path / "m.sqlite"
        soundfile.write(cut, np.concatenate([JINGLE, radio(20.0)]), ENGINE_RATE)
        cut.write_bytes(cut.read_bytes()[: 44 + 12 * 2 * ENGINE_RATE])
        for times in (("--from", "15"), ("--from", "10")):
            told = run("teach", cut, "--name", "x", *times, "--memory", kept)
            assert told.returncode == 1, told
            assert f"nothing was taught: {cut} is cut off at 0:12.0, before the end of the part to teach" in told.stderr
            assert "analysed" not in told.stderr
        assert run("teach", cut, "--name", "x", "--memory", kept).returncode == 0
        assert [entry.name for entry in NameStore(kept).list_entries()] == ["x"]
