"""Sung music for generated programmes: melodies of scores, sung by real voices or by the formant singer.

The accompaniment is a band, a piano, another track, or nothing; it is also made without a singer, so that it tells
nothing about whether somebody sings. Voices come from speech (`speech_to_singing.py`). Rap is left out, because it is
between speech and music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan
from tools.training.corpora import SAMPLE_RATE, degradation
from tools.training.corpora.arrangement import PADS, VOICES, Arranger
from tools.training.corpora.scores import Score, read_score, render_parts, scale_to_unit_power
from tools.training.corpora.singing import SungTone, render_singing
from tools.training.corpora.speech_to_singing import VoiceAnalysis, draw_singing_style, sing

Signal = NDArray[np.float32]

_FORMANT_SINGER_SHARE = 0.15
_MIN_SUNG = 0.5  # share of an excerpt that its melody covers
_LONGEST_REST_S = 1.2  # of a voice alone; a longer one would be silence
_ACCOMPANIMENTS: Final = {"band": 0.45, "piano": 0.2, "track": 0.22, "none": 0.13}
_CLASSICAL_ACCOMPANIMENTS: Final = {"band": 0.0, "piano": 0.75, "track": 0.12, "none": 0.13}
_PITCH_RANGE = (40, 81)  # MIDI


@dataclass(frozen=True, slots=True)
class SungMusicMaker:
    """Makes sung music and accompaniments from annotated scores (`scores.py`) and SoundFonts.

    classical_share: share of the singing in classical manner.
    """

    score_paths: tuple[Path, ...]
    soundfonts: tuple[Path, ...]
    classical_share: float = 0.35
    _scores: dict[Path, Score] = field(default_factory=dict)

    def make_accompaniment(self, seconds: float, rng: np.random.Generator) -> Signal:
        """Make instrumental music: a band or a piano, mostly with an instrument that plays the melody."""
        excerpt = self._draw_excerpt(seconds, rng, slow=rng.random() < 0.4)
        kind = "band" if rng.random() < 0.6 else "piano"
        solo = (8, int(rng.choice(VOICES)), excerpt.melody) if rng.random() < 0.7 else None
        return self._render(excerpt, kind, rng, [solo] if solo else [])

    def make_sung_music(
        self, voices: Sequence[VoiceAnalysis], track: Signal | None, seconds: float, rng: np.random.Generator
    ) -> Signal:
        """Make music with a singer.

        voices: utterances whose syllables are sung; if empty, the formant singer sings. track: other music, which
        sometimes takes the place of the accompaniment.
        """
        classical = bool(rng.random() < self.classical_share)
        odds = dict(_CLASSICAL_ACCOMPANIMENTS if classical else _ACCOMPANIMENTS)
        kinds = [kind for kind in odds if kind != "track" or track is not None]
        weights = np.array([odds[kind] for kind in kinds])
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        excerpt = self._draw_excerpt(seconds, rng, slow=classical)
        if kind == "none":
            excerpt = replace(excerpt, melody=close_rests(excerpt.melody, _LONGEST_REST_S, seconds))
        singer = self._sing(voices, excerpt, seconds, rng, classical=classical)
        if rng.random() < (0.8 if classical or kind == "none" else 0.5):
            singer = degradation.add_reverberation(singer, rng)
        if not classical and rng.random() < 0.2:
            drive = rng.uniform(1, 5) / (np.abs(singer).max() + 1e-9)
            singer = (np.tanh(drive * singer) / drive).astype(np.float32)
        if kind == "none":
            return scale_to_unit_power(singer)
        if kind == "track" and track is not None:
            backing = scale_to_unit_power(np.resize(track, len(singer)))
        else:
            backing = self._render(excerpt, kind, rng, [])
        voice_db = rng.uniform(-2, 10) if classical else rng.uniform(-6, 8)
        return backing + scale_to_unit_power(singer) * np.float32(10 ** (voice_db / 20))

    def _sing(
        self,
        voices: Sequence[VoiceAnalysis],
        excerpt: Score,
        seconds: float,
        rng: np.random.Generator,
        *,
        classical: bool,
    ) -> Signal:
        """Sing the melody of an excerpt, sometimes with copies or a second voice; the level is arbitrary."""
        samples = int(seconds * SAMPLE_RATE)
        if not voices:
            female = rng.random() < 0.5
            return render_singing(transpose(excerpt.melody, 0 if female else -12), samples, rng, female=bool(female))
        target = voices[0].median_pitch + (rng.uniform(2, 12) if classical else rng.uniform(-1, 9))
        melody = transpose_near(excerpt.melody, target)
        if rng.random() < 0.15:  # no rests: each note lasts until the next
            melody = close_rests(melody, 0.0, seconds)
        style = draw_singing_style(rng, classical=classical)
        sound = np.zeros(samples, np.float32)
        copies = int(rng.choice([1, 1, 1, 2, 3])) if not classical else int(rng.choice([1, 1, 1, 1, 4]))
        for number in range(copies):
            semitones = int(rng.choice([0, 0, 3, 4, -5, 12])) if number else 0
            detuned = replace(style, formants=style.formants * float(np.exp(rng.normal(0, 0.04 * min(1, number)))))
            late = max(0.0, float(rng.normal(0, 0.02))) if number else 0.0
            tones = [replace(t, start=t.start + late, end=t.end + late) for t in transpose(melody, semitones)]
            part = sing(voices, tones, seconds, detuned, rng)[:samples]
            sound[: len(part)] += part * np.float32(1.0 if number == 0 else rng.uniform(0.3, 1.0))
        return sound

    def _render(
        self, excerpt: Score, kind: str, rng: np.random.Generator, more: list[tuple[int, int, list[SungTone]]]
    ) -> Signal:
        """Render an accompaniment. kind: "band" or "piano"."""
        if kind == "band":
            parts = [*Arranger(excerpt, rng).make_backing(), *more]
        else:
            parts = [(0, int(rng.choice([0, 0, 0, 1, 2, 6, 24, 46])), excerpt.piano), *more]
            if rng.random() < 0.3:
                parts.append((1, int(rng.choice(PADS)), excerpt.bridge))
        samples = int(excerpt.end_s * SAMPLE_RATE)
        if not any(tones for _, _, tones in parts):
            parts.append((0, 0, excerpt.piano + excerpt.melody))
        soundfont = self.soundfonts[rng.integers(len(self.soundfonts))]
        return render_parts(parts, soundfont, samples, rng, reverb=bool(rng.random() < 0.7))

    def _draw_excerpt(self, seconds: float, rng: np.random.Generator, *, slow: bool) -> Score:
        """Draw a part of a score with enough melody, at a random speed and pitch."""
        while True:
            path = self.score_paths[rng.integers(len(self.score_paths))]
            if path not in self._scores:
                self._scores[path] = read_score(path)
            speed = float(np.exp(rng.normal(-0.3 if slow else 0.0, 0.12)))
            score = self._scores[path].make_variation(speed, int(rng.integers(-5, 6)))
            start = score.bars[rng.integers(len(score.bars))]
            excerpt = cut_score(score, start, seconds)
            if sum(tone.end - tone.start for tone in excerpt.melody) > _MIN_SUNG * seconds:
                return excerpt


def cut_score(score: Score, start: float, seconds: float) -> Score:
    """Return the part of a score from `start` on, with times from its start."""
    end = start + seconds

    def cut(tones: list[SungTone]) -> list[SungTone]:
        inside = [tone for tone in tones if start <= tone.start + 1e-3 and tone.start < end]
        return [replace(tone, start=max(0.0, tone.start - start), end=min(tone.end, end) - start) for tone in inside]

    sections = [
        LabelledSpan(max(span.start, start) - start, min(span.end, end) - start, span.label)
        for span in score.sections
        if span.end > start and span.start < end
    ]
    whole = sections or [LabelledSpan(0.0, seconds, "A")]
    whole[0], whole[-1] = replace(whole[0], start=0.0), replace(whole[-1], end=seconds)
    bars = [bar - start for bar in score.bars if start <= bar < end]
    return Score(cut(score.melody), cut(score.bridge), cut(score.piano), whole, bars or [0.0])


def transpose(tones: Sequence[SungTone], semitones: int) -> list[SungTone]:
    """Transpose tones."""
    return [replace(tone, pitch=tone.pitch + semitones) for tone in tones]


def transpose_near(tones: Sequence[SungTone], pitch: float) -> list[SungTone]:
    """Transpose by octaves, so that the median is near a MIDI pitch; tones out of the range of voices once more."""
    octaves = round((pitch - float(np.median([tone.pitch for tone in tones]))) / 12)
    low, high = _PITCH_RANGE
    return [
        replace(tone, pitch=at + 12 * ((at < low) - (at > high)))
        for tone in tones
        for at in [tone.pitch + 12 * octaves]
    ]


def close_rests(tones: Sequence[SungTone], longest_s: float, seconds: float) -> list[SungTone]:
    """Lengthen tones until no rest is longer than `longest_s`, the last one to the end; the first one starts at 0."""
    ordered = sorted(tones, key=lambda tone: tone.start)
    ends = [tone.start - longest_s for tone in ordered[1:]] + [seconds - longest_s]
    first = ordered[0].start
    return [
        replace(tone, start=tone.start if number or first < longest_s else 0.0, end=max(tone.end, end))
        for number, (tone, end) in enumerate(zip(ordered, ends, strict=True))
    ]


def is_formant_singer(rng: np.random.Generator) -> bool:
    """Draw whether the formant singer sings instead of a real voice."""
    return bool(rng.random() < _FORMANT_SINGER_SHARE)
