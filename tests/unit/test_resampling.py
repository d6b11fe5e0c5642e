import pickle

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.engine.features.resampling import Resampler
from streamseg.errors import UsageError

OUT = 22_050


def resampled(samples, rate, sizes=(10**9,), *, checkpoint=False):
    resampler, parts, at, turn = Resampler(rate), [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)]
        parts.append(resampler.push(samples[at : at + size]))
        at, turn = at + size, turn + 1
        if checkpoint:
            resampler = pickle.loads(pickle.dumps(resampler))
    return np.concatenate([*parts, resampler.flush()])


def tones(rate, seconds, hz):
    t = np.arange(int(rate * seconds)) / rate
    return (0.2 * np.cos(2 * np.pi * np.asarray(hz)[:, None] * t).sum(axis=0)).astype(np.float32)


@pytest.mark.parametrize("rate", [1_000, 8_000, 16_000, 22_051, 44_100, 48_000, 96_000, 192_000, 768_000])
def test_tones_come_out_where_and_as_they_went_in(rate):
    hz = np.array([0.05, 0.3, 0.87]) * min(rate, OUT) / 2
    ours = resampled(tones(rate, 1.0, hz), rate)
    truth = tones(OUT, 1.0, hz)
    assert abs(len(ours) - OUT) <= 1
    inner = slice(4_000, -4_000)
    assert np.abs(ours[: len(truth)] - truth[: len(ours)])[inner].max() < 0.6 * 10 ** (-95 / 20)


@pytest.mark.parametrize("rate", [44_100, 48_000, 192_000])
def test_what_lies_above_the_new_band_is_gone(rate):
    above = tones(rate, 0.5, [12_150.0])
    inner = slice(3_000, -3_000)
    assert np.abs(resampled(above, rate)[inner]).max() < 0.2 * 10 ** (-90 / 20)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_as_good_as_soxr(rate):
    rng = np.random.default_rng(3)
    noise = soxr.resample(rng.standard_normal(6_000) * 0.1, 6_000, rate, quality="VHQ").astype(np.float32)  # to 3 kHz
    best = soxr.resample(noise.astype(np.float64), rate, OUT, quality="VHQ")
    ours, theirs = resampled(noise, rate), soxr.resample(noise, rate, OUT, quality="HQ")
    inner = slice(2_000, 20_000)
    assert np.abs(ours - best[: len(ours)])[inner].max() < max(2e-6, np.abs(theirs - best)[inner].max())


@given(
    rate=st.sampled_from([1_000, 8_000, 22_050, 22_051, 44_100, 48_000]),
    sizes=st.lists(st.sampled_from([1, 7, 441, 512, 4_096]), min_size=1, max_size=5),
    checkpoint=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_chunking_and_checkpoints_are_invisible(rate, sizes, checkpoint):
    samples = (np.random.default_rng(1).standard_normal((min(rate, 6_000), 2)) * 0.3).astype(np.float32)
    whole = resampled(samples, rate)
    np.testing.assert_array_equal(resampled(samples, rate, sizes, checkpoint=checkpoint), whole)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_channels_are_averaged(rate):
    left, right = tones(rate, 0.3, [300.0]), tones(rate, 0.3, [700.0])
    stereo = resampled(np.stack([left, right], axis=1), rate)
    np.testing.assert_allclose(stereo, resampled((left + right) / 2, rate), atol=1e-6)
    assert resampled(np.repeat(left[:, None], 32, axis=1), rate).shape == stereo.shape


def test_mad_samples_are_bounded_and_forgotten():
    mad = tones(48_000, 1.0, [500.0])
    mad[1_000:1_010] = [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-40, np.nan, np.nan, 0, 0]
    out = resampled(mad, 48_000)
    assert np.isfinite(out).all()
    calm = resampled(tones(48_000, 1.0, [500.0]), 48_000)
    np.testing.assert_array_equal(out[1_000:], calm[1_000:])


def test_latency_is_small_and_said():
    resampler = Resampler(48_000)
    out = resampler.push(np.zeros(48_000, np.float32))
    assert 1.0 - len(out) / OUT == pytest.approx(resampler.latency_s, abs=1 / OUT)
    assert resampler.latency_s < 0.010


@pytest.mark.parametrize("rate", [0, 999, 768_001, 44_100.5])
def test_a_rate_that_cannot_be_heard_is_refused(rate):
    with pytest.raises(UsageError, match="whole rates from"):
        Resampler(rate)
