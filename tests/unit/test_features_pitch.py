import numpy as np
import pytest

from streamseg.engine.features import COLUMNS, FeatureExtractor

RATE = 22_050


def voice(seconds, seed, noise_db):
    """Gliding, trembling, partly unvoiced harmonics through three formants, in noise; and the true f0, 0 unvoiced."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    f0, at = np.zeros(n), 0
    while at < n:
        length = int(rng.uniform(0.3, 1.2) * RATE)
        if rng.random() < 0.75:
            s = np.arange(min(length, n - at)) / length
            first, last = rng.uniform(80, 400, 2)
            tremble = 2 ** (0.025 * np.sin(2 * np.pi * rng.uniform(4, 6.5) * s * length / RATE))
            f0[at : at + length] = first * (np.clip(last / first, 0.7, 1.4)) ** s * tremble
        at += length + int(rng.uniform(0.1, 0.4) * RATE)
    turns = np.cumsum(f0) / RATE
    formants = [(rng.uniform(300, 800), 80), (rng.uniform(900, 2_200), 100), (rng.uniform(2_300, 3_000), 150)]
    x = np.zeros(n)
    for partial in range(1, 50):
        hz = f0 * partial
        gain = sum(1 / (1 + ((hz - centre) / width) ** 2) for centre, width in formants) + 0.02
        x += np.where((hz > 0) & (hz < 10_000), gain / partial * np.sin(2 * np.pi * partial * turns), 0)
    x /= x[f0 > 0].std()
    return (0.1 * (x + rng.standard_normal(n) * 10 ** (-noise_db / 20))).astype(np.float32), f0


def heard(samples):
    return FeatureExtractor().push(samples)[:, COLUMNS["f0_hz"]][:, 0]


def test_voices_in_noise_are_followed():
    near = voiced = false = unvoiced = 0
    for seed in range(4):
        samples, f0 = voice(10.0, seed, noise_db=20)
        ours = heard(samples)
        at = np.arange(len(ours)) * 512
        whole = np.array([(f0[a + 256 : a + 1_792] > 0).mean() for a in at])
        truth = f0[at + 1_024]
        cents = 1_200 * np.abs(np.log2(np.maximum(ours, 1.0) / np.maximum(truth, 1.0)))
        near += (cents[whole == 1] < 50).sum()
        voiced += (whole == 1).sum()
        false += (ours[whole == 0] > 0).sum()
        unvoiced += (whole == 0).sum()
    assert near / voiced >= 0.97
    assert false / unvoiced <= 0.05


@pytest.mark.parametrize("hz", [70.0, 110.0, 440.0, 880.0])
def test_a_steady_tone_within_five_cents(hz):
    t = np.arange(RATE) / RATE
    samples = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 6) if hz * k < 3_000) * 0.2
    ours = heard(samples.astype(np.float32))
    assert np.abs(1_200 * np.log2(ours / hz)).max() < 5


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.full(RATE, 0.5), np.random.default_rng(0).normal(0, 0.1, RATE)])
def test_what_has_no_pitch_has_none(samples):
    assert (heard(samples.astype(np.float32)) > 0).mean() < 0.05


def test_an_echo_far_below_the_voice_is_no_voice():
    tone = 0.3 * np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE)
    ours = heard(np.concatenate([tone, 0.02 * tone]).astype(np.float32))
    assert (ours[:36] > 0).all()
    assert not ours[-30:].any()
    assert heard((0.02 * tone).astype(np.float32)).all()  # alone it is one, however soft
