"""Speech turned into singing, and into other speech: the parameters of the WORLD vocoder are stretched and transposed.

An utterance is analysed into pitch, spectral envelope and aperiodicity (Morise et al. 2016). To sing, its voiced
stretches are cut into syllables at the dips of the energy; each is stretched to the length of a note and takes its
pitch, with slides, vibrato and jitter. To speak differently, pitch, rate and formants are scaled. Both have the same
voices, words and vocoder, so a network trained on them learns what makes singing, not timbre.

Needs the package `pyworld`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from tools.training.corpora import SAMPLE_RATE
from tools.training.corpora.singing import SungTone

Floats = NDArray[np.float64]

FRAME_S: Final = 0.005
_PITCH_HZ = (71.0, 500.0)  # range of the analysis
_SYLLABLE_S = (0.08, 0.6)
_REST_S = 0.12  # a shorter gap between notes is sung through


@dataclass(frozen=True, eq=False)
class VoiceAnalysis:
    """The WORLD parameters of an utterance, a frame every FRAME_S.

    pitch_hz: shape (n,), 0 where unvoiced. envelope: power spectrum, shape (n, bins). aperiodicity: shape (n, bins).
    syllables: first frame and the one after the last, of each.
    """

    pitch_hz: Floats
    envelope: Floats
    aperiodicity: Floats
    syllables: tuple[tuple[int, int], ...]

    @property
    def median_pitch(self) -> float:
        """Median pitch of the voiced frames, as a MIDI number."""
        return float(69 + 12 * np.log2(np.median(self.pitch_hz[self.pitch_hz > 0]) / 440))


@dataclass(frozen=True, slots=True)
class SingingStyle:
    """How a singer sings.

    vibrato: semitones either side. vibrato_hz: its rate. slide: semitones from which a note is approached. jitter:
    standard deviation of the slow random deviation, in semitones. formants: factor for the frequency axis of the
    envelope. ring_db: gain of the singer's formant near 3 kHz. breath: exponent of the aperiodicity, less is breathier.
    legato: share of the notes that follow without a consonant.
    """

    vibrato: float
    vibrato_hz: float
    slide: float
    jitter: float
    formants: float
    ring_db: float
    breath: float
    legato: float


def draw_singing_style(rng: np.random.Generator, *, classical: bool) -> SingingStyle:
    """Draw a style at random. classical: deep vibrato, a singer's formant and legato."""
    return SingingStyle(
        vibrato=float(rng.uniform(0.3, 1.2) if classical else rng.choice([0.0, rng.uniform(0.05, 0.8)])),
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        slide=float(rng.uniform(0.2, 2.5)),
        jitter=float(rng.uniform(0.03, 0.3)),
        formants=float(np.exp(rng.normal(-0.03 if classical else 0.02, 0.08))),
        ring_db=float(rng.uniform(6, 18) if classical else max(0.0, rng.normal(2, 4))),
        breath=float(np.exp(rng.normal(0.0, 0.3))),
        legato=float(rng.uniform(0.2, 0.6) if classical else rng.uniform(0.0, 0.4)),
    )


def analyse_voice(sound: NDArray[np.float32]) -> VoiceAnalysis | None:
    """Analyse an utterance, mono at SAMPLE_RATE; None if it has no syllable."""
    import pyworld

    samples = np.ascontiguousarray(sound, np.float64)
    samples = samples + 1e-5 * np.random.default_rng(0).standard_normal(len(samples))  # digital zero has no spectrum
    low, high = _PITCH_HZ
    coarse, times = pyworld.dio(samples, SAMPLE_RATE, low, high, frame_period=1000 * FRAME_S)
    pitch_hz = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch_hz, times, SAMPLE_RATE, f0_floor=low)
    aperiodicity = pyworld.d4c(samples, pitch_hz, times, SAMPLE_RATE, fft_size=2 * (envelope.shape[1] - 1))
    syllables = _find_syllables(pitch_hz, envelope.sum(axis=1))
    return VoiceAnalysis(pitch_hz, envelope, aperiodicity, syllables) if syllables else None


def sing(
    voices: Sequence[VoiceAnalysis],
    tones: Sequence[SungTone],
    seconds: float,
    style: SingingStyle,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Sing a melody on the syllables of these utterances in turn; mono at SAMPLE_RATE, of this many seconds.

    tones: of one voice; of overlapping ones, the later one cuts the earlier one off.
    """
    total = int(seconds / FRAME_S)
    syllables = [(voice, syllable) for voice in voices for syllable in voice.syllables]
    bins = voices[0].envelope.shape[1]
    pitch, envelope, aperiodicity = np.zeros(total), np.full((total, bins), 1e-12), np.ones((total, bins))
    notes = [(round(tone.start / FRAME_S), tone) for tone in sorted(tones, key=lambda tone: tone.start)]
    at = int(rng.integers(len(syllables)))
    last_pitch: int | None = None
    for number, (start, tone) in enumerate(notes):
        following = notes[number + 1][0] if number + 1 < len(notes) else total
        end = min(round(tone.end / FRAME_S), total)
        end = min(following, total) if following - end < _REST_S / FRAME_S else end
        length = end - start
        if length < 8 or start < 0:
            continue
        is_joined = last_pitch is not None and rng.random() < style.legato
        if not is_joined:
            at = (at + 1) % len(syllables)
        voice, (first, after) = syllables[at]
        rows = _stretch_syllable(voice.pitch_hz[first:after] > 0, length, joined=is_joined, rng=rng) + first
        is_voiced = voice.pitch_hz[np.round(rows).astype(int)] > 0
        envelope[start:end] = _interpolate_rows(voice.envelope, rows) * _shape_loudness(length, tone, rng)[:, None]
        aperiodicity[start:end] = _interpolate_rows(voice.aperiodicity, rows)
        curve = tone.pitch + _deviate_pitch(length, style, rng, None if last_pitch is None else last_pitch - tone.pitch)
        pitch[start:end] = np.where(is_voiced, 440 * 2 ** ((curve - 69) / 12), 0.0)
        last_pitch = tone.pitch if following - end < _REST_S / FRAME_S else None
    return synthesise_voice(pitch, envelope, aperiodicity, style.formants, style.ring_db, style.breath)


def speak(voice: VoiceAnalysis, rng: np.random.Generator) -> NDArray[np.float32]:
    """Speak an utterance with another rate, pitch, range of pitch and formants; mono at SAMPLE_RATE."""
    frames = len(voice.pitch_hz)
    rows = np.linspace(0, frames - 1, max(8, round(frames * float(rng.uniform(0.75, 1.35)))))
    rows += uniform_filter1d(rng.normal(0, 40, len(rows)), 60)  # the rate varies within the utterance
    rows = np.clip(np.maximum.accumulate(rows), 0, frames - 1)
    nearest = voice.pitch_hz[np.round(rows).astype(int)]
    middle = 440 * 2 ** ((voice.median_pitch - 69) / 12)
    scaled = middle * float(rng.uniform(0.8, 1.5)) * (np.maximum(nearest, 1) / middle) ** float(rng.uniform(0.7, 1.7))
    pitch = np.where(nearest > 0, np.clip(scaled, 60, 700), 0.0)
    return synthesise_voice(
        pitch,
        _interpolate_rows(voice.envelope, rows),
        _interpolate_rows(voice.aperiodicity, rows),
        formants=float(np.exp(rng.normal(0, 0.06))),
        ring_db=max(0.0, float(rng.normal(0, 4))),
        breath=1.0,
    )


def synthesise_voice(
    pitch_hz: Floats, envelope: Floats, aperiodicity: Floats, formants: float, ring_db: float, breath: float
) -> NDArray[np.float32]:
    """Synthesise WORLD parameters, with formants, singer's formant and breath as in `SingingStyle`."""
    import pyworld

    bins = envelope.shape[1]
    hz = np.linspace(0, SAMPLE_RATE / 2, bins)
    at = np.clip(np.arange(bins) / formants, 0, bins - 1.001)
    low, part = at.astype(int), at - at.astype(int)
    warped = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    ring = 10 ** (ring_db / 10 * np.exp(-0.5 * ((hz - 2950) / 450) ** 2))
    voiced = (pitch_hz > 0)[:, None]
    shaped = np.where(voiced, warped * ring, warped)
    noisy = np.clip(np.where(voiced, aperiodicity**breath, aperiodicity), 1e-6, 1.0)
    sound = pyworld.synthesize(pitch_hz, np.ascontiguousarray(shaped), noisy, SAMPLE_RATE, 1000 * FRAME_S)
    return np.asarray(sound, np.float32)


def _find_syllables(pitch_hz: Floats, power: Floats) -> tuple[tuple[int, int], ...]:
    """Cut at the dips of the energy, and in the middle of the unvoiced stretches; a syllable has voiced frames."""
    level = uniform_filter1d(10 * np.log10(power + 1e-12), 9)
    dips, _ = find_peaks(-level, distance=round(_SYLLABLE_S[0] / FRAME_S), prominence=2.0)
    edges = [0, *dips, len(pitch_hz)]
    shortest, longest = (round(s / FRAME_S) for s in _SYLLABLE_S)
    loud = np.percentile(level, 90) - 25
    return tuple(
        (first, min(after, first + longest))
        for first, after in itertools.pairwise(edges)
        if after - first >= shortest and np.mean(pitch_hz[first:after] > 0) > 0.5 and level[first:after].max() > loud
    )


def _stretch_syllable(voiced: NDArray[np.bool_], length: int, *, joined: bool, rng: np.random.Generator) -> Floats:
    """Return the frame of a syllable for each frame of a note: its ends keep their rate, its vowel is stretched."""
    at_voiced = np.flatnonzero(voiced)
    attack = min(int(at_voiced[0]) + 10, length // 3, len(voiced) // 2)
    release = min(len(voiced) - 1 - int(at_voiced[-1]) + 8, length // 4, len(voiced) // 3)
    last = len(voiced) - 1
    if joined:  # another note on the vowel that sounds
        middle = 0.5 * (at_voiced[0] + at_voiced[-1])
        rows = np.linspace(0.7 * middle + 0.3 * at_voiced[0], last, length)
    else:
        first = max(0, int(at_voiced[0]) - 16)  # most of a long consonant is left out
        attack = min(attack, int(at_voiced[0]) - first + 10)
        vowel = np.linspace(first + attack, last - release, length - attack - release)
        rows = np.concatenate([first + np.arange(attack), vowel, last - release + np.arange(release)])
    wander = uniform_filter1d(rng.normal(0, 6, length), min(40, length))
    voiced_only = np.clip(rows + wander, at_voiced[0], at_voiced[-1])
    inside = (rows >= at_voiced[0] + 6) & (rows <= at_voiced[-1] - 6)
    return np.clip(np.where(inside, voiced_only, rows), 0, last)


def _interpolate_rows(table: Floats, rows: Floats) -> Floats:
    """Interpolate between the rows of a table."""
    low = np.minimum(rows.astype(int), len(table) - 1)
    high, part = np.minimum(low + 1, len(table) - 1), (rows - low)[:, None]
    return np.asarray(table[low] * (1 - part) + table[high] * part)


def _shape_loudness(length: int, tone: SungTone, rng: np.random.Generator) -> Floats:
    """Return the power of each frame of a note: its velocity, a swell or a decay, short ramps at both ends."""
    t = np.linspace(0, 1, length)
    gain_db = 0.15 * (tone.velocity - 80) + rng.uniform(-4, 4) * t + rng.uniform(0, 3) * np.sin(np.pi * t)
    ramp = np.minimum(1, np.minimum(np.arange(length) + 1, length - np.arange(length)) / 5)
    return np.asarray(10 ** (gain_db / 10) * ramp)


def _deviate_pitch(length: int, style: SingingStyle, rng: np.random.Generator, from_last: int | None) -> Floats:
    """Return the deviation of a note from its pitch in semitones: slide, vibrato, jitter.

    from_last: semitones of the note before, relative to this one; None after a rest.
    """
    t = np.arange(length) * FRAME_S
    slide = -abs(rng.normal(0, style.slide)) if from_last is None else np.clip(from_last, -style.slide, style.slide)
    onset = rng.uniform(0.05, 0.35)
    vibrato = (
        style.vibrato
        * np.clip((t - onset) / 0.3, 0, 1)
        * np.sin(2 * np.pi * style.vibrato_hz * t * rng.uniform(0.95, 1.05) + rng.uniform(0, 2 * np.pi))
    )
    walk = uniform_filter1d(rng.normal(0, 1, length + 40), 20)[20 : 20 + length] * np.sqrt(20) * style.jitter
    return np.asarray(slide * np.exp(-t / rng.uniform(0.02, 0.09)) + vibrato + walk + rng.normal(0, 0.08))
