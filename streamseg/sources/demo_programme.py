"""Synthesises the demo's radio programme: talk, two contrasting pieces of music, rain, silence, the first piece again.

It reads no file and uses fixed random seeds: every machine gets the same samples, and the true boundaries are known.
The voice follows Klatt (1980), in the frequency domain: partials of a gliding pitch, weighted by the resonances of the
vowels between which it glides, with bursts of high noise for consonants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Block, Samples, SourceItem

Signal = NDArray[np.float64]  # mono, about ±1

SAMPLE_RATE = 44_100
_BLOCK = 1024
_JOIN_S = 0.03  # each scene fades in and out over this time, so that no click marks the boundary


@dataclass(frozen=True, slots=True)
class DemoScene:
    """One scene of the demo programme: the name of what sounds, and its start and end in seconds.

    A repeated scene has the same name.
    """

    name: str
    start_s: float
    end_s: float


_RUNNING_ORDER = (("talk", 14.0), ("slow piece", 16.0), ("rain", 10.0), ("dance piece", 16.0), ("silence", 6.0))
_REPEATED_SCENE = ("slow piece", 16.0)


def list_demo_scenes() -> tuple[DemoScene, ...]:
    """List the scenes of the demo programme in order, with their true times. The last scene repeats the second."""
    start, scenes = 0.0, []
    for name, duration_s in (*_RUNNING_ORDER, _REPEATED_SCENE):
        scenes.append(DemoScene(name, start, start + duration_s))
        start += duration_s
    return tuple(scenes)


class DemoProgramme:
    """A source that yields the demo programme once, as fast as the reader takes it.

    Its creation renders the samples, which takes about 1 s.
    """

    name = "demo programme"
    dropped_samples = 0

    def __init__(self) -> None:
        self._samples = render_programme()
        self._is_closed = False

    def __iter__(self) -> Iterator[SourceItem]:
        for start in range(0, len(self._samples), _BLOCK):
            if self._is_closed:
                return
            yield Block(self._samples[start : start + _BLOCK], SAMPLE_RATE)

    def close(self) -> None:
        """Make the iteration end before its next block. It may be called from any thread."""
        self._is_closed = True


def render_programme() -> Samples:
    """Synthesise the whole demo programme; return float32 samples, shape (n, 1), at 44,100 Hz."""
    renderers = {
        "talk": _render_talk,
        "slow piece": _render_slow_piece,
        "rain": _render_rain,
        "dance piece": _render_dance_piece,
        "silence": _render_silence,
    }
    programme = np.zeros(_count_samples(list_demo_scenes()[-1].end_s))
    for scene in list_demo_scenes():
        _mix_in(programme, scene.start_s, _fade_edges(renderers[scene.name](scene.end_s - scene.start_s), _JOIN_S))
    return programme.astype(np.float32)[:, None]


def _render_silence(duration_s: float) -> Signal:
    """Noise at -80 dB, as of an open line; not digital zero."""
    return 1e-4 * np.random.default_rng(5).standard_normal(_count_samples(duration_s))


def _render_rain(duration_s: float) -> Signal:
    """Steady noise and 300 drops a second of different strengths."""
    rng = np.random.default_rng(3)
    n = _count_samples(duration_s)
    drops = np.zeros(n)
    drops[rng.integers(0, n, round(300 * duration_s))] = 1.0
    drops *= rng.uniform(0.2, 1.0, n)
    return _set_level(
        0.6 * _filter_band(rng.standard_normal(n), 400, 9000) + 2.0 * _filter_band(drops, 1500, 12_000), -24
    )


def _render_talk(duration_s: float) -> Signal:
    """One voice that speaks in phrases with pauses; it glides between vowels, given by formants F1, F2, F3 in Hz."""
    rng = np.random.default_rng(1)
    vowels = np.array([(730, 1090, 2440), (270, 2290, 3010), (530, 1840, 2480), (570, 840, 2410), (300, 870, 2240)])
    speech = 0.002 * _filter_band(
        rng.standard_normal(_count_samples(duration_s)), 100, 4000
    )  # the room between the words
    at = 0.05
    while at < duration_s - 0.5:
        syllables = int(rng.integers(5, 10))
        for n in range(syllables):
            length_s = rng.uniform(0.13, 0.24)
            pitch_hz = np.array([1.15, 0.95]) * 125 * (1.15 - 0.35 * n / syllables) * rng.uniform(0.95, 1.05)
            if rng.random() < 0.5:  # a consonant before the vowel
                burst = _fade_edges(rng.standard_normal(_count_samples(0.07)), 0.02)
                _mix_in(speech, at, 0.12 * _filter_band(burst, 2500, 8000))
                at += 0.05
            _mix_in(speech, at, _render_vowel(pitch_hz, vowels[rng.integers(5, size=2)], length_s))
            at += length_s * 0.95
        at += rng.uniform(0.2, 0.45)
    return _set_level(speech, -20)


def _render_vowel(pitch_hz: Signal, formants_hz: NDArray[np.int64], duration_s: float) -> Signal:
    """Partials of a pitch gliding between two values, under resonances gliding between two vowels."""
    n = _count_samples(duration_s)
    progress = np.linspace(0, 1, n)
    pitch = np.interp(progress, (0, 1), pitch_hz)
    phase = 2 * math.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = formants_hz[0] + np.clip(progress * 2 - 0.5, 0, 1)[:, None] * (formants_hz[1] - formants_hz[0])
    bandwidths_hz = np.array([80.0, 100.0, 140.0])
    voice = np.zeros(n)
    for partial in range(1, int(4000 / pitch.max())):
        frequency = (partial * pitch)[:, None]
        resonance = (1 / (1 + ((frequency - formants) / bandwidths_hz) ** 2) * (1.0, 0.6, 0.3)).sum(axis=1)
        voice += resonance * np.sin(partial * phase) / partial**0.3
    return _fade_edges(voice, 0.03)


def _render_slow_piece(duration_s: float) -> Signal:
    """72 beats a minute, C major: soft chords, a harp below, a flute above; no drums."""
    beat_s = 60 / 72
    chords = ((48, 55, 60, 64), (45, 52, 60, 64), (41, 53, 57, 60), (43, 50, 59, 62))  # I vi IV V, MIDI notes
    tune = (76, 79, 77, 76, 72, 76, 74, 72, 69, 72, 77, 76, 74, 71, 74, 79)
    piece = np.zeros(_count_samples(duration_s))
    for beat in range(math.ceil(duration_s / beat_s)):
        chord = chords[beat // 4 % 4]
        if beat % 4 == 0:
            for note in chord:
                _mix_in(
                    piece, beat * beat_s, 0.12 * _fade_edges(_render_tone(note, 4 * beat_s, (1, 0.4, 0.2, 0.1)), 0.35)
                )
        for half, note in enumerate((chord[beat % 4], chord[(beat + 2) % 4] + 12)):
            harp = _render_tone(note + 12, 1.2, (1, 0.5, 0.25, 0.12, 0.06), decay_s=0.45)
            _mix_in(piece, (beat + half / 2) * beat_s, 0.15 * harp)
        _mix_in(piece, beat * beat_s, 0.2 * _fade_edges(_render_tone(tune[beat % 16], beat_s, (1, 0.15, 0.05)), 0.08))
    return _set_level(piece, -20)


def _render_dance_piece(duration_s: float) -> Signal:
    """126 beats a minute, F sharp minor: kick, clap, hats, a bass between the kicks, short bright chords."""
    beat_s = 60 / 126
    rng = np.random.default_rng(4)
    roots = (42, 38, 45, 40)
    saw = tuple(1 / partial for partial in range(1, 15))
    clock = np.arange(_count_samples(0.3)) / SAMPLE_RATE
    kick = np.sin(2 * math.pi * (50 * clock + 6 * (1 - np.exp(-clock / 0.03)))) * np.exp(-clock / 0.12)
    noise = rng.standard_normal(_count_samples(0.15)) * np.exp(-np.arange(_count_samples(0.15)) / _count_samples(0.04))
    clap, hat = _filter_band(noise, 900, 5000), _filter_band(noise, 7000, 16_000)
    piece = np.zeros(_count_samples(duration_s))
    for beat in range(math.ceil(duration_s / beat_s)):
        at, root = beat * beat_s, roots[beat // 4 % 4]
        _mix_in(piece, at, 1.0 * kick)
        if beat % 2:
            _mix_in(piece, at, 0.6 * clap)
        for quarter in range(4):
            _mix_in(piece, at + quarter * beat_s / 4, (0.7 if quarter == 2 else 0.3) * hat)
        for quarter in (1, 2, 3):
            bass = _render_tone(root, beat_s / 4, saw, decay_s=0.1)
            _mix_in(piece, at + quarter * beat_s / 4, 0.4 * _fade_edges(bass, 0.005))
        third = 3 if root in (42, 40) else 4
        for quarter in (0, 3) if beat % 2 else (2,):
            for note in (root + 24, root + 24 + third, root + 31):
                _mix_in(piece, at + quarter * beat_s / 4, 0.16 * _render_tone(note, 0.2, saw, decay_s=0.08))
    return _set_level(piece, -16)


@lru_cache(maxsize=256)  # most tones occur several times
def _render_tone(note: float, duration_s: float, partials: tuple[float, ...], decay_s: float | None = None) -> Signal:
    """A MIDI note. partials: their strengths; decay_s: with it the tone decays as if plucked, else it is steady."""
    clock = np.arange(_count_samples(duration_s)) / SAMPLE_RATE
    phase = 2 * math.pi * 440 * 2 ** ((note - 69) / 12) * clock
    sound = np.sum([strength * np.sin(n * phase) for n, strength in enumerate(partials, 1)], axis=0)
    if decay_s is None:
        return np.asarray(sound)
    return np.asarray(_fade_edges(sound * np.exp(-clock / decay_s), 0.003))


def _filter_band(sound: Signal, low_hz: float, high_hz: float) -> Signal:
    """Keep the band between two frequencies, with slopes of a third of an octave."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE), 1.0))
    inside = np.minimum(octaves - math.log2(low_hz), math.log2(high_hz) - octaves)
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * np.clip(1 + 3 * inside, 0, 1), len(sound)))


def _fade_edges(sound: Signal, over_s: float) -> Signal:
    """Fade in and out over `over_s` seconds at each end."""
    n = min(_count_samples(over_s), len(sound) // 2)
    ramp = np.linspace(0, 1, n, endpoint=False)
    return np.concatenate([ramp, np.ones(len(sound) - 2 * n), ramp[::-1]]) * sound


def _set_level(sound: Signal, rms_db: float) -> Signal:
    return np.asarray(sound * (10 ** (rms_db / 20) / np.sqrt(np.mean(sound**2))))


def _mix_in(target: Signal, at_s: float, sound: Signal) -> None:
    start = _count_samples(at_s)
    length = min(len(sound), len(target) - start)
    if length > 0:
        target[start : start + length] += sound[:length]


def _count_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)
