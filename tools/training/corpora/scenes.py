"""Scenes of radio programmes: talk, music, sung music, jingles, noise, dead air, talk over music; their annotation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import noises, tunes
from tools.training.corpora.material import DecodedCache, MaterialCollection, SoundClip
from tools.training.corpora.programme_styles import BROADCAST_STYLE, ProgrammeStyle
from tools.training.corpora.speech_to_singing import VoiceAnalysis, analyse_voice, speak
from tools.training.corpora.sung_music import SungMusicMaker, is_formant_singer

Signal = NDArray[np.float32]

_TALK_DB, _MUSIC_DB, _NOISE_DB = -25.0, -24.0, -31.0
_SPREAD_DB = 2.0
_RMS_FLOOR = 1e-9
_MAX_SILENCE_S = 1.8  # of a noise; a longer pause would be silence
_ANALYSED_S = 8.0  # of an utterance that is sung
_SUNG_S = (6.0, 45.0)  # range of the length of sung music


@dataclass(frozen=True, slots=True)
class AnnotatedSound:
    """Generated sound, mono at ENGINE_RATE, with its annotation; times in seconds from its start."""

    sound: Signal
    segments: tuple[LabelledSpan, ...]
    sources: tuple[LabelledSpan, ...]


@dataclass(slots=True)
class SceneMaker:
    """Makes random scenes of a material collection."""

    material: MaterialCollection
    rng: np.random.Generator
    cache: DecodedCache = field(default_factory=DecodedCache)
    style: ProgrammeStyle = BROADCAST_STYLE
    singing: SungMusicMaker | None = None

    def kind_odds(self) -> dict[str, float]:
        """Return the relative frequency of each kind of scene that the material allows."""
        available = {
            "speech": bool(self.material.voices),
            "music": bool(self.material.music),
            "jingle": bool(self.material.jingles or self.material.music),
            "speech_over_music": bool(self.material.voices and self.material.music),
            "sung_music": bool(self.material.voices and self.singing),
        }
        return {kind: odds for kind, odds in self.style.odds.items() if available.get(kind, True)}

    def make_scene(self, kind: str) -> AnnotatedSound:
        """Make a scene of a kind: a key of `ProgrammeStyle.odds`."""
        makers: dict[str, Callable[[], AnnotatedSound]] = {
            "speech": self._speech,
            "music": self._music,
            "jingle": self._jingle,
            "noise": self._noise,
            "silence": self._silence,
            "speech_over_music": self._speech_over_music,
            "sung_music": self._sung_music,
        }
        return makers[kind]()

    def _pick(self, clips: Sequence[SoundClip]) -> SoundClip:
        """Draw a source, then one of its clips, so that each source is as frequent as any other."""
        names = sorted({clip.source for clip in clips})
        name = names[self.rng.integers(len(names))]
        source_clips = [clip for clip in clips if clip.source == name]
        return source_clips[self.rng.integers(len(source_clips))]

    def make_talk(self, seconds: float) -> tuple[Signal, tuple[LabelledSpan, ...]]:
        """Make about this many seconds of utterances of one to three voices, with pauses, and their sources."""
        voices = {self._pick(self.material.voices).source for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3]))}
        clips = [clip for clip in self.material.voices if clip.source in voices]
        parts: list[Signal] = []
        spans: list[LabelledSpan] = []
        at = 0.0
        while at < seconds:
            clip = self._pick(clips)
            sound = _set_level(self._make_utterance(clip), _TALK_DB + self.rng.normal(0, 1.0))
            end = at + len(sound) / ENGINE_RATE
            spans.append(LabelledSpan(at, end, clip.source))
            pause = np.zeros(noises.sample_count(self.rng.uniform(0.2, 0.6)), np.float32)
            parts += [sound, pause]
            at = end + len(pause) / ENGINE_RATE
        talk = np.concatenate(parts[:-1])
        if self.rng.random() < self.style.room_share:
            room = self.make_noise(len(talk) / ENGINE_RATE)[1]
            talk += _set_level(room, _TALK_DB - self.rng.uniform(*self.style.room_db))[: len(talk)]
        return talk, tuple(spans)

    def _make_utterance(self, clip: SoundClip) -> Signal:
        """Return an utterance, sometimes spoken differently."""
        sound = self.cache.get_clip(clip)
        if self.singing is None or self.rng.random() >= self.style.respoken_share:
            return sound
        analysis = analyse_voice(sound[: noises.sample_count(2 * _ANALYSED_S)])
        return sound if analysis is None else speak(analysis, self.rng)

    def _speech(self) -> AnnotatedSound:
        sound, spans = self.make_talk(self._length())
        return _annotate_scene(sound, "speech", spans)

    def _music(self) -> AnnotatedSound:
        source, sound = self.make_track(self._length())
        if self.rng.random() < 0.3:
            fading = noises.sample_count(self.rng.uniform(0.5, 4.0))
            sound[-fading:] *= np.linspace(1, 0.003, fading, dtype=np.float32) ** 2
        return _annotate_scene(sound, "music", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def _sung_music(self) -> AnnotatedSound:
        sound, spans = self.make_sung_track(float(self.rng.uniform(*_SUNG_S)))
        return _annotate_scene(sound, "music", spans)

    def make_sung_track(self, seconds: float) -> tuple[Signal, tuple[LabelledSpan, ...]]:
        """Make sung music of this many seconds, levelled, and its sources. Raises ValueError without scores."""
        if self.singing is None:
            raise ValueError("sung music requires scores: pass them as `singing`")
        voices: list[VoiceAnalysis] = []
        sources = {"formant_singer"}
        if not is_formant_singer(self.rng):
            sources = {self._pick(self.material.voices).source}
            clips = [clip for clip in self.material.voices if clip.source in sources]
            while not voices:
                sounds = [self.cache.get_clip(self._pick(clips)) for _ in range(3)]
                analyses = [analyse_voice(sound[: noises.sample_count(_ANALYSED_S)]) for sound in sounds]
                voices = [analysis for analysis in analyses if analysis is not None]
        source, track = self.make_track(seconds) if self.rng.random() < 0.5 else ("", None)
        sound = self.singing.make_sung_music(voices, track, seconds, self.rng)
        levelled = _set_level(sound, _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        names = sorted(sources | ({source} if source else set()))
        return levelled, tuple(LabelledSpan(0.0, len(levelled) / ENGINE_RATE, name) for name in names)

    def make_track(self, seconds: float) -> tuple[str, Signal]:
        """Return the source and a part of a track, levelled, at most this long."""
        if self.singing is not None and self.rng.random() < self.style.accompaniment_share:
            accompaniment = self.singing.make_accompaniment(max(4.0, seconds), self.rng)
            return "accompaniment", _set_level(accompaniment, _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        if self.rng.random() < self.style.tune_share:
            tune = tunes.make_tune(self.rng, seconds).astype(np.float32)
            return "tune", _set_level(tune, _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        clip = self._pick(self.material.music)
        whole = self.cache.get_clip(clip)
        n = min(noises.sample_count(seconds), len(whole))
        start = int(self.rng.integers(0, len(whole) - n + 1))
        return clip.source, _set_level(whole[start : start + n], _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))

    def _jingle(self) -> AnnotatedSound:
        if self.material.jingles and (not self.material.music or self.rng.random() < 0.5):
            clip = self._pick(self.material.jingles)
            source = clip.source
            sound = _set_level(self.cache.get_clip(clip), _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        else:
            source, sound = self.make_track(self.rng.uniform(3.0, 9.0))
        return _annotate_scene(sound, "jingle", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def make_noise(self, seconds: float) -> tuple[str, Signal]:
        """Return the source and the sound of a noise without long pauses."""
        while True:
            source, sound = self._draw_noise(seconds)
            if _longest_silence_s(sound) < _MAX_SILENCE_S:
                return source, sound

    def _draw_noise(self, seconds: float) -> tuple[str, Signal]:
        """Draw a noise of the material, repeated, or synthesise one."""
        n = noises.sample_count(seconds)
        if self.material.noises and self.rng.random() < 0.5:
            clip = self._pick(self.material.noises)
            sound = self.cache.get_clip(clip)
            return clip.source, np.tile(sound, -(-n // max(1, len(sound))))[:n]
        kinds = sorted(noises.KINDS)
        kind = kinds[self.rng.integers(len(kinds))]
        return f"noise_{kind}", noises.KINDS[kind](self.rng, seconds).astype(np.float32)

    def _noise(self) -> AnnotatedSound:
        source, sound = self.make_noise(self.rng.uniform(4.0, 20.0))
        sound = _set_level(sound, _NOISE_DB + self.rng.normal(0, 2 * _SPREAD_DB))
        return _annotate_scene(sound, "noise", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def _silence(self) -> AnnotatedSound:
        """Make dead air: digital zero, or the hiss of an open line."""
        n = noises.sample_count(self.rng.uniform(2.6, 8.0))
        floor = 0.0 if self.rng.random() < 0.4 else 10 ** (self.rng.uniform(-90, -72) / 20)
        sound = (floor * self.rng.standard_normal(n)).astype(np.float32)
        return _annotate_scene(sound, "silence", (LabelledSpan(0.0, n / ENGINE_RATE, "dead_air"),))

    def _speech_over_music(self) -> AnnotatedSound:
        """Make talk over music; the music may begin before it and end after it."""
        shortest_s, longest_s = self.style.scene_s
        voice, spans = self.make_talk(self.rng.uniform(min(8.0, shortest_s), min(30.0, longest_s)))
        before, after = (float(self.rng.choice([0.0, self.rng.uniform(3.0, 0.5 * longest_s)])) for _ in range(2))
        sound, bed_spans = self._make_bed(before + len(voice) / ENGINE_RATE + after)
        start = noises.sample_count(before)
        end = start + len(voice)
        if len(sound) < end:
            sound = np.resize(sound, end)
        ducked_gain = 10 ** ((_TALK_DB - self.rng.uniform(*self.style.ducked_db) - _MUSIC_DB) / 20)
        ramp = noises.sample_count(self.rng.uniform(0.1, 0.8))
        gain = np.interp(
            np.arange(len(sound)), [start - ramp, start, end, end + ramp], [1.0, ducked_gain, ducked_gain, 1.0]
        ).astype(np.float32)
        sound = sound * gain
        sound[start:end] += voice
        t0, t1, t2 = start / ENGINE_RATE, end / ENGINE_RATE, len(sound) / ENGINE_RATE
        segments = (
            LabelledSpan(0.0, t0, "music"),
            LabelledSpan(t0, t1, "speech_over_music"),
            LabelledSpan(t1, t2, "music"),
        )
        talk_spans = tuple(LabelledSpan(span.start + t0, span.end + t0, span.label) for span in spans)
        return AnnotatedSound(
            sound,
            tuple(span for span in segments if span.end > span.start),
            (*(LabelledSpan(0.0, t2, span.label) for span in bed_spans), *talk_spans),
        )

    def _make_bed(self, seconds: float) -> tuple[Signal, tuple[LabelledSpan, ...]]:
        """Make the music of talk over music, and its sources."""
        if self.singing is not None and self.rng.random() < self.style.sung_bed_share:
            return self.make_sung_track(seconds)
        source, sound = self.make_track(seconds)
        return sound, (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),)

    def _length(self) -> float:
        return float(self.rng.uniform(*self.style.scene_s))


def _set_level(sound: Signal, level_db: float) -> Signal:
    """Scale the sound to an RMS, dB of full scale; pauses do not count."""
    piece = ENGINE_RATE // 10
    powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
    loud = powers[powers > 1e-3 * powers.max()].mean() if powers.max() > _RMS_FLOOR else 1.0
    gain = np.float32(10 ** (level_db / 20) / np.sqrt(loud))
    clipped: Signal = np.clip(sound * gain, -0.99, 0.99)
    return clipped


def _annotate_scene(sound: Signal, label: str, sources: tuple[LabelledSpan, ...]) -> AnnotatedSound:
    return AnnotatedSound(sound, (LabelledSpan(0.0, len(sound) / ENGINE_RATE, label),), sources)


def _longest_silence_s(sound: Signal) -> float:
    """Return the longest stretch that is 35 dB below the loudest tenth of a second."""
    piece = ENGINE_RATE // 10
    powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
    longest = now = 0
    for silent in powers < 10**-3.5 * powers.max():
        now = now + 1 if silent else 0
        longest = max(longest, now)
    return longest / 10
