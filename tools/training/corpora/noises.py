"""Synthetic noises: weather, crowds, machines, knocks, alarms. None is speech, music or silence.

Each function returns mono sound at ENGINE_RATE, shape (n,), of the given length in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.settings import ENGINE_RATE

Signal = NDArray[np.float64]
_Rng = np.random.Generator


def coloured_noise(
    rng: _Rng, seconds: float, slope_db: float, low_hz: float = 20.0, high_hz: float = 11_000.0
) -> Signal:
    """Make noise whose power falls by `slope_db` per octave between two frequencies: 0 white, 3 pink, 6 brown."""
    n = sample_count(seconds)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / ENGINE_RATE), 1.0)
    octaves = np.minimum(np.log2(hz / low_hz), np.log2(high_hz / hz))
    gain = 10 ** (-slope_db * np.log2(hz / low_hz) / 20) * np.clip(1 + 2 * octaves, 0, 1)
    return normalise_rms(np.fft.irfft(spectrum * gain, n))


def random_curve(rng: _Rng, seconds: float, period_s: float, low: float, high: float) -> Signal:
    """Make a smooth random curve between two values."""
    points = rng.uniform(low, high, max(4, math.ceil(seconds / period_s) + 3))
    at = np.linspace(0, len(points) - 1.001, sample_count(seconds))
    i = at.astype(int)
    ease = 0.5 - 0.5 * np.cos(np.pi * (at - i))
    return np.asarray(points[i] * (1 - ease) + points[i + 1] * ease)


def random_impulses(rng: _Rng, seconds: float, a_second: float, make: Callable[[], Signal]) -> Signal:
    """Place short sounds at random times with random gains."""
    out = np.zeros(sample_count(seconds))
    variants = [make() for _ in range(12)]
    for at in rng.integers(0, len(out), rng.poisson(a_second * seconds)):
        sound = variants[rng.integers(len(variants))]
        n = min(len(sound), len(out) - at)
        out[at : at + n] += rng.uniform(0.15, 1.0) * sound[:n]
    return out


def noise_burst(rng: _Rng, decay_s: float, low_hz: float, high_hz: float) -> Signal:
    """Make a burst of band-limited noise with exponential decay."""
    length_s = max(0.02, 6 * decay_s)
    return coloured_noise(rng, length_s, 0.0, low_hz, high_hz) * np.exp(-sample_times(length_s) / decay_s)


def struck_body(rng: _Rng, decay_s: float, partials_hz: NDArray[np.float64]) -> Signal:
    """Make the sound of a struck body: inharmonic partials, of which the later in the list decay faster."""
    t = sample_times(5 * decay_s)
    parts = [np.sin(2 * np.pi * hz * t) * np.exp(-t / decay_s * (1 + 0.5 * k)) for k, hz in enumerate(partials_hz)]
    return np.asarray(sum(parts) * rng.uniform(0.7, 1.0))


def rain(rng: _Rng, seconds: float) -> Signal:
    """Make rain: hiss and drops."""
    drops = random_impulses(rng, seconds, rng.uniform(50, 400), lambda: noise_burst(rng, 0.003, 1500, 9000))
    return normalise_rms(coloured_noise(rng, seconds, rng.uniform(0, 3), 300, 9000)) + rng.uniform(
        0.3, 2.0
    ) * normalise_rms(drops)


def applause(rng: _Rng, seconds: float) -> Signal:
    """Make applause of varying density."""
    claps = random_impulses(
        rng, seconds, rng.uniform(30, 500), lambda: noise_burst(rng, rng.uniform(0.004, 0.02), 600, 5000)
    )
    swell = random_curve(rng, seconds, 3.0, 0.4, 1.0)
    return normalise_rms(claps) * swell + 0.1 * coloured_noise(rng, seconds, 3, 200, 5000)


def crowd(rng: _Rng, seconds: float) -> Signal:
    """Make the murmur of a crowd without distinct voices: noise bands modulated at the rate of syllables."""
    bands = [
        coloured_noise(rng, seconds, 3, hz, 1.6 * hz) * random_curve(rng, seconds, rng.uniform(0.12, 0.3), 0.4, 1.0)
        for hz in (150, 240, 380, 600, 960, 1500, 2400)
    ]
    weights = rng.uniform(0.4, 1.0, len(bands)) * np.geomspace(1.0, 0.25, len(bands))
    return normalise_rms(np.sum(weights[:, None] * bands, axis=0)) * random_curve(rng, seconds, 4.0, 0.5, 1.0)


def wind(rng: _Rng, seconds: float) -> Signal:
    """Make gusts of wind: brown noise and a howling band."""
    howl = coloured_noise(rng, seconds, 2, rng.uniform(150, 400), rng.uniform(500, 1200))
    gusts = random_curve(rng, seconds, rng.uniform(0.8, 3.0), 0.1, 1.0)
    return coloured_noise(rng, seconds, 6, 30, 3000) + rng.uniform(0.2, 1.5) * howl * gusts**2


def water(rng: _Rng, seconds: float) -> Signal:
    """Make a river: band noise with short gurgles."""
    gurgles = random_impulses(
        rng, seconds, 40, lambda: _chirp(rng, 0.03, rng.uniform(300, 900), rng.uniform(500, 1500))
    )
    return coloured_noise(rng, seconds, 3, 200, 7000) + rng.uniform(0.2, 0.8) * normalise_rms(gurgles)


def hum(rng: _Rng, seconds: float) -> Signal:
    """Make mains hum with hiss."""
    hz = rng.choice([50.0, 60.0, 100.0, 120.0])
    t = sample_times(seconds)
    partials = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * k * hz * t + k) for k in range(1, 12))
    return normalise_rms(np.asarray(partials)) + rng.uniform(0.1, 1.0) * coloured_noise(rng, seconds, 2)


def traffic(rng: _Rng, seconds: float) -> Signal:
    """Make a road: rumble and passing cars."""
    passing = random_curve(rng, seconds, rng.uniform(1.5, 4.0), 0.05, 1.0) ** 2
    tyres = coloured_noise(rng, seconds, 3, 200, 6000) * passing
    return coloured_noise(rng, seconds, 5, 30, 400) + rng.uniform(0.5, 2.0) * normalise_rms(tyres)


def motor(rng: _Rng, seconds: float) -> Signal:
    """Make a motor: pulses of varying rate, and rattle."""
    phase = np.cumsum(random_curve(rng, seconds, 2.0, 1.0, 1.3) * rng.uniform(18, 90)) / ENGINE_RATE
    pulses = np.exp(-((phase % 1.0) * 12)) * (1 + 0.3 * rng.standard_normal(len(phase)))
    return normalise_rms(pulses - pulses.mean()) + rng.uniform(0.1, 0.6) * coloured_noise(rng, seconds, 4, 60, 6000)


def knocks(rng: _Rng, seconds: float) -> Signal:
    """Make groups of knocks, as of doors, hammers or steps."""
    out = 10 ** rng.uniform(-3.5, -2) * coloured_noise(rng, seconds, 3)
    body = struck_body(rng, rng.uniform(0.01, 0.08), rng.uniform(80, 900, 4))
    click = noise_burst(rng, 0.01, 100, 4000)[: len(body)]
    body[: len(click)] += 0.5 * click
    at = rng.uniform(0.0, 0.5)
    while at < seconds:
        for _ in range(rng.integers(1, 6)):
            start = sample_count(at)
            n = max(0, min(len(body), len(out) - start))
            out[start : start + n] += rng.uniform(0.5, 1.0) * body[:n]
            at += rng.uniform(0.15, 0.5)
        at += rng.uniform(0.2, 1.8)
    return out


def beeps(rng: _Rng, seconds: float) -> Signal:
    """Make regular beeps of one or two pitches, as of alarms, telephones or reversing lorries."""
    t = sample_times(seconds)
    hz = rng.uniform(500, 2800)
    second = hz * rng.choice([1.0, 1.0, 1.25, 0.8, 1.06])
    rate = rng.uniform(0.5, 12)
    on = (t * rate % 1.0) < rng.uniform(0.3, 0.8)
    phase = np.cumsum(np.where((t * rate).astype(int) % 2, second, hz)) / ENGINE_RATE
    tone = np.sin(2 * np.pi * phase) + rng.uniform(0, 0.6) * np.sign(np.sin(2 * np.pi * phase))
    pattern = (t % rng.uniform(1.5, 4.0)) < rng.uniform(1.0, 3.0)
    return tone * on * pattern + 10 ** rng.uniform(-3.5, -1.5) * coloured_noise(rng, seconds, 2)


def siren(rng: _Rng, seconds: float) -> Signal:
    """Make a siren: one tone with periodic pitch."""
    low = rng.uniform(300, 900)
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * sample_times(seconds) * rng.uniform(0.2, 4))
    phase = np.cumsum(low * (1 + rng.uniform(0.3, 1.2) * sweep)) / ENGINE_RATE
    return np.sin(2 * np.pi * phase) + 0.3 * np.sin(6 * np.pi * phase) + 0.1 * coloured_noise(rng, seconds, 3)


def fire(rng: _Rng, seconds: float) -> Signal:
    """Make fire: crackle over a low roar."""
    crackle = random_impulses(
        rng, seconds, rng.uniform(8, 40), lambda: noise_burst(rng, rng.uniform(0.001, 0.01), 800, 9000)
    )
    return normalise_rms(coloured_noise(rng, seconds, 5, 40, 1500)) * 0.5 + rng.uniform(0.5, 2) * normalise_rms(crackle)


def birds(rng: _Rng, seconds: float) -> Signal:
    """Make birds: chirps over rustling leaves."""
    hz = rng.uniform(1800, 5000)
    chirps = random_impulses(
        rng, seconds, rng.uniform(1, 8), lambda: _chirp(rng, rng.uniform(0.05, 0.2), hz, hz * rng.uniform(0.7, 1.4))
    )
    return normalise_rms(chirps) + rng.uniform(0.05, 0.5) * coloured_noise(rng, seconds, 3)


def bells(rng: _Rng, seconds: float) -> Signal:
    """Make bells: metal struck at random times."""
    partials = rng.uniform(200, 900) * np.array([1.0, 2.76, 5.4, 8.93, 1.5])
    struck = random_impulses(
        rng, seconds, rng.uniform(1, 5), lambda: struck_body(rng, rng.uniform(0.05, 0.4), partials)
    )
    return normalise_rms(struck) + 10 ** rng.uniform(-3.5, -1.5) * coloured_noise(rng, seconds, 3)


def plain_noise(rng: _Rng, seconds: float) -> Signal:
    """Make white, pink or brown noise."""
    return coloured_noise(
        rng, seconds, float(rng.choice([0.0, 1.5, 3.0, 4.5, 6.0])), rng.uniform(20, 200), rng.uniform(2000, 11_000)
    )


KINDS: Final[dict[str, Callable[[_Rng, float], Signal]]] = {
    make.__name__: make
    for make in (
        rain, applause, crowd, wind, water, hum, traffic, motor, knocks, beeps, siren, fire, birds, bells, plain_noise,
    )
}  # fmt: skip


def sample_count(seconds: float) -> int:
    """Convert seconds to samples at ENGINE_RATE."""
    return round(seconds * ENGINE_RATE)


def sample_times(seconds: float) -> Signal:
    """Return the time of each sample, seconds."""
    return np.arange(sample_count(seconds)) / ENGINE_RATE


def normalise_rms(sound: Signal) -> Signal:
    """Scale to an RMS of 1; silence remains silence."""
    return np.asarray(sound / max(1e-9, float(np.sqrt(np.mean(sound**2)))))


def _chirp(rng: _Rng, seconds: float, from_hz: float, to_hz: float) -> Signal:
    n = sample_count(seconds)
    phase = np.cumsum(np.linspace(from_hz, to_hz, n)) / ENGINE_RATE
    return np.asarray(np.sin(2 * np.pi * phase + rng.uniform(0, 6)) * np.hanning(n))
