"""Synthetic singing: a pulse train through the formants of changing vowels, with vibrato, breath and consonants.

It has no words, but the features that separate singing from the instruments of a SoundFont: the spectrum changes with
every syllable, and the pitch has slides and vibrato.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from tools.training.corpora import SAMPLE_RATE

_FORMANTS_HZ = np.array(
    [
        [730, 1090, 2440],
        [570, 840, 2410],
        [300, 870, 2240],
        [530, 1840, 2480],
        [270, 2290, 3010],
        [660, 1720, 2410],
        [490, 1350, 1690],
        [440, 1020, 2240],
    ]
)  # of eight vowels of male speakers (after Peterson & Barney 1952)
_FEMALE = 1.16  # factor for the formants of female speakers
_BANDS = ((80, 1.0), (100, 0.6), (140, 0.35))  # width in Hz and gain of each formant
_MAX_TONE_S = 4.0
_MIN_SAMPLES = 500  # of a tone; shorter ones are skipped


@dataclass(frozen=True, slots=True)
class SungTone:
    """A note of a score: start and end in seconds, MIDI pitch, velocity 1 to 127."""

    start: float
    end: float
    pitch: int
    velocity: float


def render_singing(
    tones: list[SungTone], samples: int, rng: np.random.Generator, *, rapped: bool = False, female: bool | None = None
) -> NDArray[np.float32]:
    """Render tones as singing; mono at SAMPLE_RATE, shape (samples,).

    rapped: the pitch falls and jumps as in speech. female: random if None.
    """
    out = np.zeros(samples + SAMPLE_RATE, np.float32)
    female = rng.random() < 0.5 if female is None else female
    vibrato, vibrato_hz = rng.uniform(0.002, 0.012), rng.uniform(4.5, 6.5)
    breath, consonants, tilt = rng.uniform(0.01, 0.12), rng.uniform(0.3, 1), rng.uniform(0.6, 0.93)
    last: int | None = None
    for tone in sorted(tones, key=lambda tone: (tone.start, tone.end, tone.pitch, tone.velocity)):
        duration = min(tone.end - tone.start, _MAX_TONE_S)
        length = int(duration * SAMPLE_RATE)
        if length < _MIN_SAMPLES:
            continue
        t = np.arange(length) / SAMPLE_RATE
        slide = rng.normal(0, 0.35) + (0 if last is None else np.clip(last - tone.pitch, -2, 2) * 0.4)
        shake = np.sin(2 * np.pi * vibrato_hz * t + rng.uniform(0, 6)) * np.clip((t - 0.15) / 0.3, 0, 1)
        semitones = slide * np.exp(-t / 0.04) + vibrato * 17 * shake
        if rapped:
            semitones = semitones - 3 * t / duration + rng.normal(0, 1.5)
        phase = np.cumsum(440 * 2 ** ((tone.pitch - 69 + semitones) / 12)) / SAMPLE_RATE
        source = lfilter([1 - tilt], [1, -tilt], 2 * (phase % 1) - 1) + breath * rng.standard_normal(length)
        formants = _FORMANTS_HZ[rng.integers(len(_FORMANTS_HZ))] * (_FEMALE if female else 1.0)
        voice = np.zeros(length)
        for hz, (width, gain) in zip(formants * rng.uniform(0.95, 1.05, 3), _BANDS, strict=True):
            r = np.exp(-np.pi * width / SAMPLE_RATE)
            voice += gain * lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hz / SAMPLE_RATE), r * r], source)
        voice *= np.minimum(1, t / 0.03) * np.minimum(1, (duration - t) / 0.05 + 1e-3)
        voice *= 0.1 * (tone.velocity / 80) / (np.sqrt(np.mean(voice**2)) + 1e-6)
        start = int(tone.start * SAMPLE_RATE)
        if rng.random() < consonants:
            hiss = rng.standard_normal(int(rng.uniform(0.03, 0.09) * SAMPLE_RATE))
            hiss = lfilter([1, -0.9], [1], hiss) * np.hanning(len(hiss)) * rng.uniform(0.01, 0.05)
            _add(out, max(0, start - len(hiss)), hiss)
        if start >= samples:
            break
        _add(out, start, voice)
        last = tone.pitch
    return out[:samples]


def _add(out: NDArray[np.float32], at: int, sound: NDArray[np.float64]) -> None:
    room = out[at : at + len(sound)]
    room += sound[: len(room)].astype(np.float32)
