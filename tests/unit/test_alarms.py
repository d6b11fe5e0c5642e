"""Alarms: raised in time, not for what only looks alike, whatever the block sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.engine import Segmenter
from streamseg.engine.alarms import AlarmDetector
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.features.loudness.signal_defects import find_repetition_lag
from streamseg.settings import make_settings
from streamseg.wire.events import AlarmCleared, AlarmRaised

RATE = 8_000
RNG = np.random.default_rng(1)


def talk(seconds, level=0.1):
    """Bursts of noise, as loud as talk, with its short pauses."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (RNG.normal(0, level, len(t)) * (np.sin(2 * np.pi * 2.2 * t) > -0.6)).astype(np.float32)


def quiet(seconds, db=-100.0):
    return RNG.normal(0, 10 ** (db / 20), round(seconds * RATE)).astype(np.float32)


def fade_out(seconds, to_db):
    n = round(seconds * RATE)
    return (RNG.normal(0, 0.1, n) * 10 ** (np.linspace(0, to_db + 20, n) / 20)).astype(np.float32)


def heard(sound, rate=RATE, size=997, **changes):
    """(kind, raised, since, time of the decision) of every alarm."""
    said, block = [], sound if sound.ndim == 2 else sound[:, None]
    alarms, loudness = AlarmDetector(make_settings("music", **changes)), LoudnessMeter(rate, block.shape[1])
    for at in range(0, len(block), size):
        alarms.push_loudness(loudness.push(block[at : at + size]))
        t = min(at + size, len(block)) / rate
        said += [
            (event.data.alarm, isinstance(event.data, AlarmRaised), event.data.since, t)
            for event in alarms.take_events_until(t)
        ]
    return said


class TestSilence:
    @pytest.mark.parametrize("floor_db", [-200.0, -85.0, -65.0])
    def test_five_seconds_of_dead_air_are_said_within_six(self, floor_db):
        said = heard(np.concatenate([talk(7.03), quiet(5.0, floor_db), talk(5)]))
        assert [(kind, raised) for kind, raised, *_ in said] == [("silence", True), ("silence", False)]
        assert said[0][2] == pytest.approx(7.03, abs=0.2)
        assert said[0][3] <= 7.03 + 6.0

    @pytest.mark.parametrize("pause_s", [0.5, 2.0, 4.0])
    def test_a_pause_in_talk_is_none(self, pause_s):
        assert heard(np.concatenate([part for _ in range(5) for part in (talk(4), quiet(pause_s, -75.0))])) == []

    @pytest.mark.parametrize("seconds", [4, 10, 20])
    @pytest.mark.parametrize("to_db", [-70, -99])
    def test_a_fade_out_alone_is_none(self, seconds, to_db):
        assert heard(np.concatenate([talk(5), fade_out(seconds, to_db), talk(5)])) == []

    def test_a_fade_out_into_dead_air_is_one(self):
        said = heard(np.concatenate([talk(5), fade_out(8, -90), quiet(6.0)]))
        assert [(kind, raised) for kind, raised, *_ in said] == [("silence", True)]

    def test_a_click_does_not_clear_it(self):
        click = np.full(40, 0.5, np.float32)
        said = heard(np.concatenate([quiet(8), click, quiet(8)]))
        assert [raised for _, raised, *_ in said] == [True]

    def test_the_level_is_in_it(self):
        alarms = AlarmDetector(make_settings("music"))
        alarms.push_loudness(LoudnessMeter(RATE, 1).push(quiet(6, -70.0)[:, None]))
        assert alarms.take_events_until(6.0)[0].data.level_db == pytest.approx(-70, abs=0.5)

    def test_where_silence_begins_is_a_setting(self):
        assert heard(quiet(8, -50.0)) == []
        assert heard(quiet(8, -50.0), silence_db=-40.0)[0][:2] == ("silence", True)


class TestClipping:
    def test_samples_cut_off_raise_it(self):
        sound = np.concatenate([talk(3), np.clip(talk(5) * 40, -1, 1), talk(15)])
        said = heard(sound)
        assert [(kind, raised) for kind, raised, *_ in said] == [("clipping", True), ("clipping", False)]
        assert said[0][3] < 3 + 2.6
        assert said[1][3] > 8 + 10

    def test_a_peak_at_full_scale_does_not(self):
        sound = talk(20)
        sound[::RATE] = 1.0
        assert heard(sound) == []


class TestMono:
    def stereo(self, seconds):
        return np.column_stack([talk(seconds), talk(seconds)])

    def test_lost_stereo_raises_it_and_pauses_do_not_count(self):
        mono = np.column_stack([talk(40)] * 2)
        mono[10 * RATE : 12 * RATE] = 0
        said = heard(np.concatenate([self.stereo(5), mono, self.stereo(6)]))
        assert [(kind, raised) for kind, raised, *_ in said] == [("mono", True), ("mono", False)]
        assert 36 < said[0][3] < 40

    def test_one_channel_is_not_lost_stereo(self):
        assert heard(talk(40)) == []


class TestFrozen:
    def test_a_repeating_block_raises_it(self):
        said = heard(np.concatenate([talk(4), np.tile(talk(0.2), 30), talk(6)]))
        assert [(kind, raised) for kind, raised, *_ in said] == [("frozen", True), ("frozen", False)]
        assert said[0][3] < 4 + 5

    def test_a_steady_beat_does_not(self):
        beat = np.tile(talk(0.25), 60) + quiet(15, -80.0)
        assert heard(beat) == []

    def test_the_period_is_the_shortest(self):
        past = np.tile(RNG.normal(size=70).astype(np.float32), 20)
        alike = np.zeros(701, np.int32)
        assert find_repetition_lag(past, 700, 350, alike) == 70
        assert find_repetition_lag(past + RNG.normal(size=1400).astype(np.float32), 700, 350, alike) == 0
        assert find_repetition_lag(np.zeros(1400, np.float32), 700, 350, alike) == 0

    @given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 40))
    def test_the_period_is_what_every_lag_tried_gives(self, seed, verified, longest):
        rng = np.random.default_rng(seed)
        past = rng.integers(0, 2, longest + verified).astype(np.float32)
        if rng.random() < 0.7:
            past = np.resize(past[: int(rng.integers(1, longest + 1))], past.size)
        end = past[-verified:]
        same = [
            np.array_equal(end, past[past.size - verified - lag : past.size - lag]) for lag in range(1, longest + 1)
        ]
        expected = same.index(True) + 1 if any(same) and end.any() else 0
        assert find_repetition_lag(past, longest, verified, np.zeros(longest + 1, np.int32)) == expected


@pytest.mark.parametrize("size", [1, 333, 800, 10**6])
def test_block_sizes_do_not_show(size):
    sound = np.concatenate([talk(2), quiet(7), talk(3)])
    fine = size if size > 1 else 13
    segmenters = [Segmenter(make_settings("room"), sample_rate=RATE) for _ in range(2)]
    events = [
        [event for at in range(0, len(sound), step) for event in segmenter.push(sound[at : at + step])]
        + segmenter.finish()
        for segmenter, step in zip(segmenters, (fine, 4001), strict=True)
    ]
    assert events[0] == events[1]
    assert [type(event.data) for event in events[0] if event.subject.startswith("alarm")] == [AlarmRaised, AlarmCleared]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050])
@pytest.mark.parametrize("ending", ["end", "gap"])
def test_the_last_tenth_counts(rate, ending):
    """Clipping that becomes an alarm in the very last tenth that is heard, wherever its rounded end lies."""
    for tenths in range(20, 26):
        sound = np.ones(tenths * rate // 10, np.float32)
        sound[: rate // 10] = 0.1
        segmenter = Segmenter(make_settings("room"), sample_rate=rate)
        events = segmenter.push(sound)
        events += segmenter.push_gap(rate, "overflow") if ending == "gap" else segmenter.finish()
        kinds = [".".join(event.type.split(".")[1:3]) for event in events]
        assert ("alarm.raised" in kinds) == (tenths >= 23), tenths
        if "alarm.raised" in kinds and ending == "gap":
            assert kinds.index("alarm.raised") < kinds.index("stream.gap")
