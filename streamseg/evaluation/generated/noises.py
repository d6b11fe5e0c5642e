"""Noises made of nothing: weather, crowds, machines, knocks, tones of warning. None is speech, music or silence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.settings import ENGINE_RATE

Signal = NDArray[np.float64]
_Rng = np.random.Generator


def coloured(rng: _Rng, seconds: float, slope_db: float, low_hz: float = 20.0, high_hz: float = 11_000.0) -> Signal:
    """Noise whose power falls by `slope_db` an octave between two frequencies: 0 white, 3 pink, 6 brown."""
    n = count(seconds)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / ENGINE_RATE), 1.0)
    octaves = np.minimum(np.log2(hz / low_hz), np.log2(high_hz / hz))
    gain = 10 ** (-slope_db * np.log2(hz / low_hz) / 20) * np.clip(1 + 2 * octaves, 0, 1)
    return unit(np.fft.irfft(spectrum * gain, n))


def wandering(rng: _Rng, seconds: float, period_s: float, low: float, high: float) -> Signal:
    """A curve that wanders smoothly between two values."""
    points = rng.uniform(low, high, max(4, math.ceil(seconds / period_s) + 3))
    at = np.linspace(0, len(points) - 1.001, count(seconds))
    i = at.astype(int)
    ease = 0.5 - 0.5 * np.cos(np.pi * (at - i))
    return np.asarray(points[i] * (1 - ease) + points[i + 1] * ease)


def events(rng: _Rng, seconds: float, a_second: float, make: Callable[[], Signal]) -> Signal:
    """Short sounds at random moments, of varied strength."""
    out = np.zeros(count(seconds))
    variants = [make() for _ in range(12)]
    for at in rng.integers(0, len(out), rng.poisson(a_second * seconds)):
        sound = variants[rng.integers(len(variants))]
        n = min(len(sound), len(out) - at)
        out[at : at + n] += rng.uniform(0.15, 1.0) * sound[:n]
    return out


def burst(rng: _Rng, decay_s: float, low_hz: float, high_hz: float) -> Signal:
    """A burst of band noise that dies away."""
    length_s = max(0.02, 6 * decay_s)
    return coloured(rng, length_s, 0.0, low_hz, high_hz) * np.exp(-clock(length_s) / decay_s)


def ring(rng: _Rng, decay_s: float, partials_hz: NDArray[np.float64]) -> Signal:
    """A struck body: inharmonic partials, the higher the shorter."""
    t = clock(5 * decay_s)
    parts = [np.sin(2 * np.pi * hz * t) * np.exp(-t / decay_s * (1 + 0.5 * k)) for k, hz in enumerate(partials_hz)]
    return np.asarray(sum(parts) * rng.uniform(0.7, 1.0))


def rain(rng: _Rng, seconds: float) -> Signal:
    """Hiss and drops."""
    drops = events(rng, seconds, rng.uniform(50, 400), lambda: burst(rng, 0.003, 1500, 9000))
    return unit(coloured(rng, seconds, rng.uniform(0, 3), 300, 9000)) + rng.uniform(0.3, 2.0) * unit(drops)


def applause(rng: _Rng, seconds: float) -> Signal:
    """Many hands, swelling and ebbing."""
    claps = events(rng, seconds, rng.uniform(30, 500), lambda: burst(rng, rng.uniform(0.004, 0.02), 600, 5000))
    swell = wandering(rng, seconds, 3.0, 0.4, 1.0)
    return unit(claps) * swell + 0.1 * coloured(rng, seconds, 3, 200, 5000)


def crowd(rng: _Rng, seconds: float) -> Signal:
    """A murmur in which no voice is heard: bands under syllable-like unrest."""
    bands = [
        coloured(rng, seconds, 3, hz, 1.6 * hz) * wandering(rng, seconds, rng.uniform(0.12, 0.3), 0.4, 1.0)
        for hz in (150, 240, 380, 600, 960, 1500, 2400)
    ]
    weights = rng.uniform(0.4, 1.0, len(bands)) * np.geomspace(1.0, 0.25, len(bands))
    return unit(np.sum(weights[:, None] * bands, axis=0)) * wandering(rng, seconds, 4.0, 0.5, 1.0)


def wind(rng: _Rng, seconds: float) -> Signal:
    """Gusts: brown noise and a howl whose pitch wanders."""
    howl = coloured(rng, seconds, 2, rng.uniform(150, 400), rng.uniform(500, 1200))
    gusts = wandering(rng, seconds, rng.uniform(0.8, 3.0), 0.1, 1.0)
    return coloured(rng, seconds, 6, 30, 3000) + rng.uniform(0.2, 1.5) * howl * gusts**2


def water(rng: _Rng, seconds: float) -> Signal:
    """A river: band noise with quick small gurgles."""
    gurgles = events(rng, seconds, 40, lambda: _chirp(rng, 0.03, rng.uniform(300, 900), rng.uniform(500, 1500)))
    return coloured(rng, seconds, 3, 200, 7000) + rng.uniform(0.2, 0.8) * unit(gurgles)


def hum(rng: _Rng, seconds: float) -> Signal:
    """The mains, and hiss."""
    hz = rng.choice([50.0, 60.0, 100.0, 120.0])
    t = clock(seconds)
    partials = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * k * hz * t + k) for k in range(1, 12))
    return unit(np.asarray(partials)) + rng.uniform(0.1, 1.0) * coloured(rng, seconds, 2)


def traffic(rng: _Rng, seconds: float) -> Signal:
    """A road: rumble, and cars that pass."""
    passing = wandering(rng, seconds, rng.uniform(1.5, 4.0), 0.05, 1.0) ** 2
    tyres = coloured(rng, seconds, 3, 200, 6000) * passing
    return coloured(rng, seconds, 5, 30, 400) + rng.uniform(0.5, 2.0) * unit(tyres)


def engine(rng: _Rng, seconds: float) -> Signal:
    """A motor: pulses at a rate that wanders, and rattle."""
    phase = np.cumsum(wandering(rng, seconds, 2.0, 1.0, 1.3) * rng.uniform(18, 90)) / ENGINE_RATE
    pulses = np.exp(-((phase % 1.0) * 12)) * (1 + 0.3 * rng.standard_normal(len(phase)))
    return unit(pulses - pulses.mean()) + rng.uniform(0.1, 0.6) * coloured(rng, seconds, 4, 60, 6000)


def knocks(rng: _Rng, seconds: float) -> Signal:
    """Something hit, a few times, and again: doors, hammers, steps."""
    out = 10 ** rng.uniform(-3.5, -2) * coloured(rng, seconds, 3)
    body = ring(rng, rng.uniform(0.01, 0.08), rng.uniform(80, 900, 4))
    click = burst(rng, 0.01, 100, 4000)[: len(body)]
    body[: len(click)] += 0.5 * click
    at = rng.uniform(0.0, 0.5)
    while at < seconds:
        for _ in range(rng.integers(1, 6)):
            start = count(at)
            n = max(0, min(len(body), len(out) - start))
            out[start : start + n] += rng.uniform(0.5, 1.0) * body[:n]
            at += rng.uniform(0.15, 0.5)
        at += rng.uniform(0.2, 1.8)
    return out


def beeps(rng: _Rng, seconds: float) -> Signal:
    """Tones of warning: alarms, telephones, reversing lorries; regular, of one or two pitches."""
    t = clock(seconds)
    hz = rng.uniform(500, 2800)
    second = hz * rng.choice([1.0, 1.0, 1.25, 0.8, 1.06])
    rate = rng.uniform(0.5, 12)
    on = (t * rate % 1.0) < rng.uniform(0.3, 0.8)
    phase = np.cumsum(np.where((t * rate).astype(int) % 2, second, hz)) / ENGINE_RATE
    tone = np.sin(2 * np.pi * phase) + rng.uniform(0, 0.6) * np.sign(np.sin(2 * np.pi * phase))
    pattern = (t % rng.uniform(1.5, 4.0)) < rng.uniform(1.0, 3.0)
    return tone * on * pattern + 10 ** rng.uniform(-3.5, -1.5) * coloured(rng, seconds, 2)


def siren(rng: _Rng, seconds: float) -> Signal:
    """One tone that wails up and down."""
    low = rng.uniform(300, 900)
    sweep = 0.5 + 0.5 * np.sin(2 * np.pi * clock(seconds) * rng.uniform(0.2, 4))
    phase = np.cumsum(low * (1 + rng.uniform(0.3, 1.2) * sweep)) / ENGINE_RATE
    return np.sin(2 * np.pi * phase) + 0.3 * np.sin(6 * np.pi * phase) + 0.1 * coloured(rng, seconds, 3)


def fire(rng: _Rng, seconds: float) -> Signal:
    """Crackle over a low roar."""
    crackle = events(rng, seconds, rng.uniform(8, 40), lambda: burst(rng, rng.uniform(0.001, 0.01), 800, 9000))
    return unit(coloured(rng, seconds, 5, 40, 1500)) * 0.5 + rng.uniform(0.5, 2) * unit(crackle)


def birds(rng: _Rng, seconds: float) -> Signal:
    """Chirps over leaves."""
    hz = rng.uniform(1800, 5000)
    chirps = events(
        rng, seconds, rng.uniform(1, 8), lambda: _chirp(rng, rng.uniform(0.05, 0.2), hz, hz * rng.uniform(0.7, 1.4))
    )
    return unit(chirps) + rng.uniform(0.05, 0.5) * coloured(rng, seconds, 3)


def bells(rng: _Rng, seconds: float) -> Signal:
    """Metal struck at random."""
    partials = rng.uniform(200, 900) * np.array([1.0, 2.76, 5.4, 8.93, 1.5])
    struck = events(rng, seconds, rng.uniform(1, 5), lambda: ring(rng, rng.uniform(0.05, 0.4), partials))
    return unit(struck) + 10 ** rng.uniform(-3.5, -1.5) * coloured(rng, seconds, 3)


def plain(rng: _Rng, seconds: float) -> Signal:
    """White, pink or brown."""
    return coloured(
        rng, seconds, rng.choice([0.0, 1.5, 3.0, 4.5, 6.0]), rng.uniform(20, 200), rng.uniform(2000, 11_000)
    )


KINDS: Final[dict[str, Callable[[_Rng, float], Signal]]] = {
    make.__name__: make
    for make in (
        rain, applause, crowd, wind, water, hum, traffic, engine, knocks, beeps, siren, fire, birds, bells, plain,
    )
}  # fmt: skip


def count(seconds: float) -> int:
    """Samples in so many seconds."""
    return round(seconds * ENGINE_RATE)


def clock(seconds: float) -> Signal:
    """The time of each sample."""
    return np.arange(count(seconds)) / ENGINE_RATE


def unit(sound: Signal) -> Signal:
    """At an RMS of 1; silence stays silence."""
    return np.asarray(sound / max(1e-9, float(np.sqrt(np.mean(sound**2)))))


def _chirp(rng: _Rng, seconds: float, from_hz: float, to_hz: float) -> Signal:
    n = count(seconds)
    phase = np.cumsum(np.linspace(from_hz, to_hz, n)) / ENGINE_RATE
    return np.asarray(np.sin(2 * np.pi * phase + rng.uniform(0, 6)) * np.hanning(n))
