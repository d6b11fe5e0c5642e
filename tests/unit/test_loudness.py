import pickle
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.features.loudness.meter import (
    CHANNEL_DIFFERENCE,
    CLIPPING,
    FROZEN,
    LEVEL,
    LOUDNESS_COLUMNS,
    MOMENTARY,
    POWER,
    SHORT_TERM,
    TRUE_PEAK,
    LoudnessMeter,
)
from streamseg.engine.sections.report import SectionReportBuilder
from streamseg.errors import UsageError

RATE = 48_000


def sine(db, seconds, hz=1_000.0, rate=RATE, phase=0.0):
    t = np.arange(round(seconds * rate)) / rate
    return 10 ** (db / 20) * np.sin(2 * np.pi * hz * t + np.radians(phase))


def stereo(*parts):
    """(level dB, seconds) one after the other, both channels."""
    mono = np.concatenate([sine(db, seconds) for db, seconds in parts])
    return np.stack([mono, mono], axis=1).astype(np.float32)


def measured(samples, rate=RATE):
    """The rows, and the report of the whole."""
    rows = LoudnessMeter(rate, samples.shape[1]).push(samples)
    reports = SectionReportBuilder(60.0)
    reports.push_loudness(rows)
    return rows, reports.close_section(0.0, len(samples) / rate)


# EBU Tech 3341 (2023), table 1: signal and expected integrated loudness, tolerance 0.1 LU.
INTEGRATED = {
    1: ([(-23.0, 20.0)], -23.0),
    2: ([(-33.0, 20.0)], -33.0),
    3: ([(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
    4: ([(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)], -23.0),
    5: ([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
}


@pytest.mark.parametrize("case", INTEGRATED)
def test_tech_3341_integrated(case):
    parts, expected = INTEGRATED[case]
    rows, report = measured(stereo(*parts))
    assert report.integrated_lufs == pytest.approx(expected, abs=0.1)
    if case in (1, 2):
        assert rows[-1, MOMENTARY] == pytest.approx(expected, abs=0.1)
        assert rows[-1, SHORT_TERM] == pytest.approx(expected, abs=0.1)


def test_tech_3341_case_6_five_channels():
    levels = (-28.0, -28.0, -24.0, -30.0, -30.0)
    samples = np.stack([sine(db, 20.0) for db in levels], axis=1).astype(np.float32)
    assert measured(samples)[1].integrated_lufs == pytest.approx(-23.0, abs=0.1)
    low = np.insert(samples, 3, sine(0.0, 20.0, hz=60.0), axis=1)  # 5.1: the low-frequency channel counts nothing
    assert measured(low.astype(np.float32))[1].integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_tech_3341_case_9_short_term_stands_still():
    rows, _ = measured(stereo(*[(-20.0, 1.34), (-30.0, 1.66)] * 5))
    assert rows[30:, SHORT_TERM] == pytest.approx(-23.0, abs=0.1)


def test_tech_3341_case_10_short_term_of_a_burst():
    for lead in range(0, 20, 3):
        samples = np.concatenate([np.zeros((round(lead * 0.15 * RATE), 2)), stereo((-23.0, 3.0)), np.zeros((RATE, 2))])
        rows, _ = measured(samples.astype(np.float32))
        assert np.nanmax(rows[:, SHORT_TERM]) == pytest.approx(-23.0, abs=0.1)


def test_tech_3341_case_11_short_term_of_rising_bursts():
    bursts = [
        [np.zeros((round(0.15 * i * RATE), 2)), stereo((-38.0 + i, 3.0)), np.zeros((round((3 - 0.15 * i) * RATE), 2))]
        for i in range(20)
    ]
    rows, _ = measured(np.concatenate([part for burst in bursts for part in burst]).astype(np.float32))
    highest = [np.nanmax(rows[60 * i : 60 * i + 60, SHORT_TERM]) for i in range(20)]
    assert highest == pytest.approx(np.arange(-38.0, -18.0), abs=0.1)


def test_tech_3341_case_12_momentary_stands_still():
    rows, _ = measured(stereo(*[(-20.0, 0.18), (-30.0, 0.22)] * 25))
    assert rows[10:, MOMENTARY] == pytest.approx(-23.0, abs=0.1)


def test_tech_3341_case_13_momentary_of_a_burst():
    for lead in range(0, 20, 3):
        silence = np.zeros((round((1.0 + lead * 0.1) * RATE), 2))
        rows, _ = measured(np.concatenate([silence, stereo((-23.0, 0.4)), np.zeros((RATE, 2))]).astype(np.float32))
        assert np.nanmax(rows[:, MOMENTARY]) == pytest.approx(-23.0, abs=0.1)


# EBU Tech 3341, cases 15 to 19: frequency as a share of the rate, phase, peak of the sine, expected true peak.
TRUE_PEAKS = [(1 / 4, 0.0, 0.5, -6.0), (1 / 4, 45.0, 0.5, -6.0), (1 / 6, 60.0, 0.5, -6.0), (1 / 8, 67.5, 0.5, -6.0),
              (1 / 4, 45.0, 1.41, 3.0)]  # fmt: skip


@pytest.mark.parametrize(("share", "phase", "peak", "expected"), TRUE_PEAKS)
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_tech_3341_true_peak(share, phase, peak, expected, rate):
    samples = sine(20 * np.log10(peak), 2.0, hz=share * rate, rate=rate, phase=phase)
    fade = np.minimum(1.0, np.arange(len(samples)) / 500)
    samples = (samples * fade * fade[::-1])[:, None].astype(np.float32)
    true_peak = measured(samples, rate)[1].true_peak_db
    assert expected - 0.4 <= true_peak <= expected + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_tech_3341_cases_20_to_23_a_peak_between_samples(offset):
    at = np.arange(-4_000, 4_001)  # at four times the rate
    pulse = np.sinc(at * 2 * 20_000 / (4 * RATE)) * np.blackman(len(at))
    true_peak = measured(np.pad(pulse[offset::4], RATE)[:, None].astype(np.float32))[1].true_peak_db
    assert -0.4 <= true_peak <= 0.2


# EBU Tech 3342 (2023), table 1: 20 s of each level, expected range, tolerance 1 LU.
@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((-20.0, -30.0), 10.0),
        ((-20.0, -15.0), 5.0),
        ((-40.0, -20.0), 20.0),
        ((-50.0, -35.0, -20.0, -35.0, -50.0), 15.0),
    ],
)
def test_tech_3342_range(levels, expected):
    assert measured(stereo(*[(level, 20.0) for level in levels]))[1].loudness_range_lu == pytest.approx(expected, abs=1)


@cache
def programme(rate, seconds=20.0):
    """Something like music in stereo: chords, hits and pauses, with energy up to 15 kHz."""
    rng = np.random.default_rng(7)
    n = int(rate * seconds)
    t = np.arange(n) / rate
    x = 0.003 * rng.standard_normal((n, 2))
    for start in np.arange(0, seconds, 0.4):
        since = t[int(start * rate) :][: int(0.8 * rate)] - start
        hz, pan, loud = rng.uniform(80, 2_000), rng.uniform(0, 1), 0.3 * rng.uniform() ** 2
        note = sum(np.sin(2 * np.pi * hz * k * since) / k for k in range(1, 8) if hz * k < 15_000) * np.exp(-5 * since)
        hit = rng.standard_normal(len(since)) * np.exp(-60 * since)
        both = loud * (note + hit)
        x[int(start * rate) :][: len(since)] += both[:, None] * [pan, 1 - pan]
    return (0.9 * x / np.abs(x).max()).astype(np.float32)


def ebur128(samples, rate):
    """(integrated, range, true peak) as FFmpeg's own filter measures them."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="flt", layout="stereo", time_base=f"1/{rate}")
    meter = graph.add("ebur128", "metadata=1:peak=true")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="stereo")
    frame.sample_rate, frame.pts = rate, 0
    source.push(frame)
    source.push(None)
    last = {}
    while True:
        try:
            last = dict(sink.pull().metadata) or last
        except (av.EOFError, av.BlockingIOError):
            break
    peaks = [float(value) for name, value in last.items() if "true_peaks_ch" in name]
    return float(last["lavfi.r128.I"]), float(last["lavfi.r128.LRA"]), 20 * np.log10(max(peaks))


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_agreement_with_ffmpeg(rate):
    samples = programme(rate)
    try:
        integrated, spread, peak = ebur128(samples, rate)
    except ValueError as error:  # this FFmpeg was built without the filter
        pytest.skip(str(error))
    report = measured(samples, rate)[1]
    assert report.integrated_lufs == pytest.approx(integrated, abs=0.1)
    assert report.loudness_range_lu == pytest.approx(spread, abs=1.0)
    assert report.true_peak_db == pytest.approx(peak, abs=0.2)


@given(
    sizes=st.lists(st.sampled_from([1, 7, 441, 512, 4_800, 5_000]), min_size=1, max_size=5),
    rate=st.sampled_from([8_000, 11_025, 22_051, 48_000, 192_000]),
    channels=st.sampled_from([1, 2, 3]),
    checkpoint=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_chunking_and_checkpoints_are_invisible(sizes, rate, channels, checkpoint):
    samples = (np.random.default_rng(1).standard_normal((6_000, channels)) * 0.3).astype(np.float32)
    whole = LoudnessMeter(rate, channels).push(samples)
    loudness, parts, at, turn = LoudnessMeter(rate, channels), [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        parts.append(loudness.push(samples[at : at + size]))
        at, turn = at + size, turn + 1
        if checkpoint and turn % 7 == 0:
            loudness = pickle.loads(pickle.dumps(loudness))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_health_of_the_signal():
    fine = programme(RATE, 2.0)
    rows = LoudnessMeter(RATE, 2).push(fine)
    assert rows[:, [CLIPPING, FROZEN]].max() == 0.0
    tenths = fine.astype(np.float64).reshape(20, -1, 2)
    assert rows[:, LEVEL] == pytest.approx((tenths**2).mean(axis=(1, 2)), rel=1e-9)
    assert rows[:, CHANNEL_DIFFERENCE] == pytest.approx(
        ((tenths[:, :, 1] - tenths[:, :, 0]) ** 2).mean(axis=1) / 2, rel=1e-6
    )
    assert LoudnessMeter(RATE, 2).push(np.clip(fine * 200, -1, 1))[:, CLIPPING].mean() > 0.9
    assert (LoudnessMeter(RATE, 2).push(np.repeat(fine[:, :1], 2, axis=1))[:, CHANNEL_DIFFERENCE] == 0.0).all()
    assert np.isnan(LoudnessMeter(RATE, 1).push(fine[:, :1])[:, CHANNEL_DIFFERENCE]).all()
    stuck = np.tile(fine[: RATE // 5], (10, 1))
    assert LoudnessMeter(RATE, 2).push(stuck)[10:, FROZEN].min() == 1.0


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e30, 1e-40])
@pytest.mark.parametrize("rate", [1_000, 8_000, 192_000])
def test_hostile_sound_leaves_a_sound_state(value, rate):
    loudness = LoudnessMeter(rate, 2)
    rows = loudness.push(np.full((rate, 2), value, np.float32))
    assert np.isfinite(rows[:, [POWER, TRUE_PEAK]]).all()
    calm = loudness.push(np.zeros((rate * 4, 2), np.float32))
    assert calm[-1, POWER] < 1e-9
    assert rows.shape == (10, len(LOUDNESS_COLUMNS))


def test_silence_has_no_loudness():
    report = measured(np.zeros((RATE * 5, 2), np.float32))[1]
    assert (report.integrated_lufs, report.loudness_range_lu, report.true_peak_db) == (None, None, None)


def test_what_cannot_be_metered_is_refused():
    with pytest.raises(UsageError, match="are metered"):
        LoudnessMeter(48_000, 0)
    with pytest.raises(UsageError, match="are metered"):
        LoudnessMeter(48_000, 1).push(np.zeros((100, 2), np.float32))
