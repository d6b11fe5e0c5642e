"""Random sequencer music: a beat, a bass, chords and an arpeggio, of which some play.

Sequencer music is unlike recorded tracks: dry, exactly timed, with few timbres. The sound-class network is trained on
it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.settings import ENGINE_RATE
from tools.training.corpora import noises

Signal = NDArray[np.float64]
_Rng = np.random.Generator

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 7, 10))
_STEPS = 16  # of a bar


def make_tune(rng: _Rng, seconds: float) -> Signal:
    """Make about this many seconds of four repeated bars, whose parts come and go; RMS of 1."""
    step_s = 60 / rng.uniform(70, 175) / 4
    scale = np.array(_SCALES[rng.integers(len(_SCALES))]) + rng.integers(36, 48)
    roots = rng.integers(0, len(scale), 4)
    parts = [
        (rng.uniform(0.5, 1.2), _drums(rng, step_s)),
        (rng.uniform(0.3, 0.8), _notes(rng, step_s, scale, roots, octave=0, chord=1)),
        (rng.uniform(0.1, 0.5), _notes(rng, step_s, scale, roots, octave=2, chord=3)),
        (rng.uniform(0.1, 0.6), _notes(rng, step_s, scale, roots, octave=3, chord=1)),
    ]
    playing = rng.random((1 + int(seconds / (4 * _STEPS * step_s)), len(parts))) < (0.75, 0.7, 0.6, 0.6)
    out = []
    for now in playing:
        now[rng.integers(len(parts))] = True
        out.append(np.sum([gain * sound for (gain, sound), on in zip(parts, now, strict=True) if on], axis=0))
    return noises.normalise_rms(np.concatenate(out)[: noises.sample_count(seconds)])


def _drums(rng: _Rng, step_s: float) -> Signal:
    """Make four bars of kick, snare and hats, each on a pattern of sixteen steps."""
    t = noises.sample_times(0.35)
    low = rng.uniform(40, 65)
    kick = np.sin(2 * np.pi * (low * t + rng.uniform(2, 8) * (1 - np.exp(-t / 0.03)))) * np.exp(
        -t / rng.uniform(0.06, 0.2)
    )
    snare = 0.7 * noises.noise_burst(rng, rng.uniform(0.02, 0.09), rng.uniform(150, 1200), rng.uniform(3500, 9000))
    hat = 0.4 * noises.noise_burst(rng, rng.uniform(0.008, 0.05), rng.uniform(4000, 7000), 11_000)
    beats = np.zeros((3, _STEPS))
    beats[0, :: 4 if rng.random() < 0.6 else 8] = 1.0
    beats[1, 4::8] = 1.0
    beats[2, :: rng.choice([1, 2, 4])] = 0.7
    beats = np.maximum(beats, (rng.random(beats.shape) < 0.08) * rng.uniform(0.3, 1.0))
    return _play_pattern([(kick, beats[0]), (snare, beats[1]), (hat, beats[2])], step_s)


def _notes(
    rng: _Rng, step_s: float, scale: NDArray[np.int64], roots: NDArray[np.int64], octave: int, chord: int
) -> Signal:
    """Make four bars of one timbre: notes or chords on or near the root of each bar, on a pattern."""
    rhythm = rng.random(_STEPS) < rng.choice([0.15, 0.3, 0.6, 1.0])
    rhythm[0] = True
    length_s = step_s * rng.choice([1, 2, 4, 8, 16])
    partials = 1 / np.arange(1, rng.integers(2, 16)) ** rng.uniform(0.7, 2.0)
    decay_s = float(rng.choice([0.08, 0.2, 0.5, 3.0]))
    moves = rng.integers(0, 5, _STEPS) * (rng.random() < 0.6)
    out = np.zeros(4 * noises.sample_count(_STEPS * step_s) + noises.sample_count(length_s))
    for bar, root in enumerate(roots):
        for step in np.flatnonzero(rhythm):
            start = bar * noises.sample_count(_STEPS * step_s) + noises.sample_count(step * step_s)
            for voice in range(chord):
                place = root + moves[step] + 2 * voice
                note = scale[place % len(scale)] + 12 * (octave + place // len(scale))
                sound = _tone(440 * 2 ** ((note - 69) / 12), length_s, partials, decay_s)
                out[start : start + len(sound)] += sound
    return noises.normalise_rms(out[: 4 * noises.sample_count(_STEPS * step_s)])


def _tone(hz: float, seconds: float, partials: Signal, decay_s: float) -> Signal:
    t = noises.sample_times(seconds)
    audible = partials[: max(1, int(0.45 * ENGINE_RATE / hz))]
    sound = np.sum([gain * np.sin(2 * np.pi * hz * k * t) for k, gain in enumerate(audible, 1)], axis=0)
    ease = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.004)
    return np.asarray(sound * np.exp(-t / decay_s) * ease)


def _play_pattern(hits: list[tuple[Signal, Signal]], step_s: float) -> Signal:
    """Place each sound on its pattern, for four bars."""
    bar = noises.sample_count(_STEPS * step_s)
    out = np.zeros(4 * bar + ENGINE_RATE)
    for sound, pattern in hits:
        for which in range(4):
            for step in np.flatnonzero(pattern):
                start = which * bar + noises.sample_count(step * step_s)
                out[start : start + len(sound)] += pattern[step] * sound
    return noises.normalise_rms(out[: 4 * bar])
