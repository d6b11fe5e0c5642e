"""Radio programmes: talk, music, jingles, noise, dead air and talk over music, in the shape of annotated ones.

    python -m tools.training.corpora.programmes OUT --packages DIR --number 20 --seed 1

writes `NAME.flac`, `NAME.segments.tsv` (start, end, class) and `NAME.sources.tsv` (every utterance, track and noise).
With `--lessons` they are made to train on: short scenes of every kind, harder mixtures, and what comes out of a
receiver rather than a studio (`degrading.py`).
The running order is drawn first and the sound made from it, so the truth is exact. Voices, tracks and noises named in
a file given as `--exclude` stay out, which is how folds by source are made.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import degradation, material, noises, tunes
from tools.training.corpora.material import DecodedCache, MaterialCollection, SoundClip

Signal = NDArray[np.float32]

_JOIN_S = 0.008  # a hard cut, softened so that no click gives it away
_TALK_DB, _MUSIC_DB, _NOISE_DB = -25.0, -24.0, -31.0
_SPREAD_DB = 2.0
_RMS_FLOOR = 1e-9
_MAX_SILENCE_S = 1.8  # of a noise; what is quiet for longer is silence to any ear


@dataclass(frozen=True, slots=True)
class ProgrammeStyle:
    """How programmes are put together.

    odds: how often each kind follows another. scene_s: length of talk and music. ducked_db: how far music lies below
    the talk over it. room_share, room_db: how much of the talk has noise behind it, and how far below. tune_share: how
    much of the music is synthesised.
    """

    odds: dict[str, float]
    scene_s: tuple[float, float]
    ducked_db: tuple[float, float]
    room_share: float
    room_db: tuple[float, float]
    tune_share: float = 0.0
    is_degraded: bool = False


BROADCAST_STYLE: Final = ProgrammeStyle(
    {"speech": 8.0, "music": 6.0, "jingle": 2.0, "noise": 2.0, "silence": 1.5, "speech_over_music": 2.5},
    scene_s=(12.0, 80.0),
    ducked_db=(8.0, 17.0),
    room_share=0.15,
    room_db=(15.0, 40.0),
)
TRAINING_STYLE: Final = ProgrammeStyle(
    {"speech": 6.0, "music": 5.0, "jingle": 3.0, "noise": 4.0, "silence": 1.0, "speech_over_music": 6.0},
    scene_s=(4.0, 28.0),
    ducked_db=(3.0, 21.0),
    room_share=0.4,
    room_db=(6.0, 40.0),
    tune_share=0.2,
    is_degraded=True,
)


@dataclass(frozen=True, slots=True)
class GeneratedScene:
    """A stretch of sound with its truth, times from its own start."""

    sound: Signal
    segments: tuple[LabelledSpan, ...]
    sources: tuple[LabelledSpan, ...]


@dataclass(frozen=True, slots=True)
class GeneratedProgramme:
    """A whole programme: sound, mono at ENGINE_RATE, and its truth."""

    sound: Signal
    segments: tuple[LabelledSpan, ...]
    sources: tuple[LabelledSpan, ...]


@dataclass(slots=True)
class SceneMaker:
    """Makes scenes of the material at hand, all chance from one generator."""

    stock: MaterialCollection
    rng: np.random.Generator
    shelf: DecodedCache = field(default_factory=DecodedCache)
    style: ProgrammeStyle = BROADCAST_STYLE

    def kind_odds(self) -> dict[str, float]:
        """What can be made of the stock, and how often."""
        has = {
            "speech": bool(self.stock.voices),
            "music": bool(self.stock.music),
            "jingle": bool(self.stock.jingles or self.stock.music),
            "speech_over_music": bool(self.stock.voices and self.stock.music),
        }
        return {kind: odds for kind, odds in self.style.odds.items() if has.get(kind, True)}

    def make_scene(self, kind: str) -> GeneratedScene:
        """A scene of this kind."""
        makers: dict[str, Callable[[], GeneratedScene]] = {
            "speech": self._speech,
            "music": self._music,
            "jingle": self._jingle,
            "noise": self._noise,
            "silence": self._silence,
            "speech_over_music": self._speech_over_music,
        }
        return makers[kind]()

    def _pick(self, clips: Sequence[SoundClip]) -> SoundClip:
        """A clip: first of which source, then which, so that long recordings do not drown short ones."""
        names = sorted({clip.source for clip in clips})
        name = names[self.rng.integers(len(names))]
        own = [clip for clip in clips if clip.source == name]
        return own[self.rng.integers(len(own))]

    def make_talk(self, seconds: float) -> tuple[Signal, tuple[LabelledSpan, ...]]:
        """Utterances of one to three voices, with their pauses, about so many seconds."""
        voices = {self._pick(self.stock.voices).source for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3]))}
        clips = [clip for clip in self.stock.voices if clip.source in voices]
        parts: list[Signal] = []
        spans: list[LabelledSpan] = []
        at = 0.0
        while at < seconds:
            clip = self._pick(clips)
            sound = self._levelled(self.shelf.get_clip(clip), _TALK_DB + self.rng.normal(0, 1.0))
            end = at + len(sound) / ENGINE_RATE
            spans.append(LabelledSpan(at, end, clip.source))
            pause = np.zeros(noises.sample_count(self.rng.uniform(0.2, 0.6)), np.float32)
            parts += [sound, pause]
            at = end + len(pause) / ENGINE_RATE
        said = np.concatenate(parts[:-1])
        if self.rng.random() < self.style.room_share:
            room = self.make_noise(len(said) / ENGINE_RATE)[1]
            said += self._levelled(room, _TALK_DB - self.rng.uniform(*self.style.room_db))[: len(said)]
        return said, tuple(spans)

    def _speech(self) -> GeneratedScene:
        sound, spans = self.make_talk(self._length())
        return _scene(sound, "speech", spans)

    def _music(self) -> GeneratedScene:
        source, sound = self.make_track(self._length())
        if self.rng.random() < 0.3:
            fading = noises.sample_count(self.rng.uniform(0.5, 4.0))
            sound[-fading:] *= np.linspace(1, 0.003, fading, dtype=np.float32) ** 2
        return _scene(sound, "music", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def make_track(self, seconds: float) -> tuple[str, Signal]:
        """A stretch of a track, levelled, at most so long, and its source."""
        if self.rng.random() < self.style.tune_share:
            made = tunes.make_tune(self.rng, seconds).astype(np.float32)
            return "tune", self._levelled(made, _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        clip = self._pick(self.stock.music)
        whole = self.shelf.get_clip(clip)
        n = min(noises.sample_count(seconds), len(whole))
        start = int(self.rng.integers(0, len(whole) - n + 1))
        return clip.source, self._levelled(whole[start : start + n], _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))

    def _jingle(self) -> GeneratedScene:
        if self.stock.jingles and (not self.stock.music or self.rng.random() < 0.5):
            clip = self._pick(self.stock.jingles)
            source = clip.source
            sound = self._levelled(self.shelf.get_clip(clip), _MUSIC_DB + self.rng.normal(0, _SPREAD_DB))
        else:
            source, sound = self.make_track(self.rng.uniform(3.0, 9.0))
        return _scene(sound, "jingle", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def make_noise(self, seconds: float) -> tuple[str, Signal]:
        """A noise that is never silent for long."""
        while True:
            source, sound = self._some_noise(seconds)
            if _longest_silence_s(sound) < _MAX_SILENCE_S:
                return source, sound

    def _some_noise(self, seconds: float) -> tuple[str, Signal]:
        """A noise of the stock, again and again, or a synthesised one."""
        n = noises.sample_count(seconds)
        if self.stock.noises and self.rng.random() < 0.5:
            clip = self._pick(self.stock.noises)
            sound = self.shelf.get_clip(clip)
            return clip.source, np.tile(sound, -(-n // max(1, len(sound))))[:n]
        kinds = sorted(noises.KINDS)
        kind = kinds[self.rng.integers(len(kinds))]
        return f"noise_{kind}", noises.KINDS[kind](self.rng, seconds).astype(np.float32)

    def _noise(self) -> GeneratedScene:
        source, sound = self.make_noise(self.rng.uniform(4.0, 20.0))
        sound = self._levelled(sound, _NOISE_DB + self.rng.normal(0, 2 * _SPREAD_DB))
        return _scene(sound, "noise", (LabelledSpan(0.0, len(sound) / ENGINE_RATE, source),))

    def _silence(self) -> GeneratedScene:
        """Dead air: digital zero, or the hiss of an open line."""
        n = noises.sample_count(self.rng.uniform(2.6, 8.0))
        floor = 0.0 if self.rng.random() < 0.4 else 10 ** (self.rng.uniform(-90, -72) / 20)
        sound = (floor * self.rng.standard_normal(n)).astype(np.float32)
        return _scene(sound, "silence", (LabelledSpan(0.0, n / ENGINE_RATE, "dead_air"),))

    def _speech_over_music(self) -> GeneratedScene:
        """Talk over music that was there before, or comes with it, or stays on after it."""
        shortest_s, longest_s = self.style.scene_s
        voice, spans = self.make_talk(self.rng.uniform(min(8.0, shortest_s), min(30.0, longest_s)))
        before, after = (self.rng.choice([0.0, self.rng.uniform(3.0, 0.5 * longest_s)]) for _ in range(2))
        source, sound = self.make_track(before + len(voice) / ENGINE_RATE + after)
        start = noises.sample_count(before)
        end = start + len(voice)
        if len(sound) < end:
            sound = np.resize(sound, end)
        ducked = 10 ** ((_TALK_DB - self.rng.uniform(*self.style.ducked_db) - _MUSIC_DB) / 20)
        ramp = noises.sample_count(self.rng.uniform(0.1, 0.8))
        gain = np.interp(
            np.arange(len(sound)), [start - ramp, start, end, end + ramp], [1.0, ducked, ducked, 1.0]
        ).astype(np.float32)
        sound = sound * gain
        sound[start:end] += voice
        t0, t1, t2 = start / ENGINE_RATE, end / ENGINE_RATE, len(sound) / ENGINE_RATE
        segments = (
            LabelledSpan(0.0, t0, "music"),
            LabelledSpan(t0, t1, "speech_over_music"),
            LabelledSpan(t1, t2, "music"),
        )
        spoken = tuple(LabelledSpan(span.start + t0, span.end + t0, span.label) for span in spans)
        return GeneratedScene(
            sound, tuple(span for span in segments if span.end > span.start), (LabelledSpan(0.0, t2, source), *spoken)
        )

    def _length(self) -> float:
        return float(self.rng.uniform(*self.style.scene_s))

    def _levelled(self, sound: Signal, level_db: float) -> Signal:
        """At this RMS where it sounds; pauses do not count."""
        piece = ENGINE_RATE // 10
        powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
        loud = powers[powers > 1e-3 * powers.max()].mean() if powers.max() > _RMS_FLOOR else 1.0
        gain = np.float32(10 ** (level_db / 20) / np.sqrt(loud))
        eased: Signal = np.clip(sound * gain, -0.99, 0.99)
        return eased


def make_programme(studio: SceneMaker, seconds: float) -> GeneratedProgramme:
    """A programme of about so many seconds. Two scenes of one class never stand side by side."""
    scenes: list[GeneratedScene] = []
    kinds = studio.kind_odds()
    last, total = "", 0.0
    while total < seconds:
        possible = [kind for kind in kinds if not _may_not_follow(last, kind)]
        odds = np.array([kinds[kind] for kind in possible])
        scene = studio.make_scene(possible[studio.rng.choice(len(possible), p=odds / odds.sum())])
        if scenes and scenes[-1].segments[-1].label == scene.segments[0].label:
            continue
        scenes.append(scene)
        last, total = scene.segments[-1].label, total + len(scene.sound) / ENGINE_RATE
    whole = join_scenes(scenes)
    if not studio.style.is_degraded:
        return whole
    return GeneratedProgramme(degradation.degrade(whole.sound, studio.rng), whole.segments, whole.sources)


def join_scenes(scenes: Sequence[GeneratedScene]) -> GeneratedProgramme:
    """Scenes one after the other."""
    ramp = np.linspace(0, 1, noises.sample_count(_JOIN_S), dtype=np.float32)
    parts, segments, sources, at = [], [], [], 0.0
    for scene in scenes:
        sound = scene.sound.copy()
        sound[: len(ramp)] *= ramp
        sound[-len(ramp) :] *= ramp[::-1]
        parts.append(sound)
        segments += [LabelledSpan(at + span.start, at + span.end, span.label) for span in scene.segments]
        sources += [LabelledSpan(at + span.start, at + span.end, span.label) for span in scene.sources]
        at += len(sound) / ENGINE_RATE
    return GeneratedProgramme(np.concatenate(parts), tuple(segments), tuple(sources))


def write_programme(made: GeneratedProgramme, stem: Path) -> None:
    """The sound as FLAC and the truth beside it."""
    write_flac(made.sound, stem.with_name(stem.name + ".flac"))
    for name, spans in (("segments", made.segments), ("sources", made.sources)):
        with stem.with_name(f"{stem.name}.{name}.tsv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, delimiter="\t", lineterminator="\n")
            rows.writerows((f"{span.start:.4f}", f"{span.end:.4f}", span.label) for span in spans)


def write_flac(sound: Signal, path: Path) -> None:
    """Mono sound at ENGINE_RATE, 16 bits."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=ENGINE_RATE, layout="mono")
        whole = np.round(np.clip(sound, -1, 1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate = ENGINE_RATE
        fifo = av.AudioFifo()
        fifo.write(frame)
        for piece in fifo.read_many(4096, partial=True):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def _scene(sound: Signal, label: str, sources: tuple[LabelledSpan, ...]) -> GeneratedScene:
    return GeneratedScene(sound, (LabelledSpan(0.0, len(sound) / ENGINE_RATE, label),), sources)


def _longest_silence_s(sound: Signal) -> float:
    """The longest stretch that lies 35 dB below the loudest tenth of a second."""
    piece = ENGINE_RATE // 10
    powers = np.mean(np.resize(sound, (max(1, len(sound) // piece), piece)) ** 2, axis=1)
    longest = now = 0
    for silent in powers < 10**-3.5 * powers.max():
        now = now + 1 if silent else 0
        longest = max(longest, now)
    return longest / 10


def _may_not_follow(last: str, kind: str) -> bool:
    """Music after music is one stretch of music to this truth; so are a jingle and music, and talk over either."""
    musical = {"music", "jingle", "speech_over_music"}
    return last == kind or (last in musical and kind == "speech_over_music")


def material_from_arguments(asked: argparse.Namespace) -> MaterialCollection:
    """The material that the command line names."""
    stock = material.material_from_folders(asked.voices, asked.music, asked.noises)
    for root in asked.packages:
        stock += material.material_from_packages(root)
    for folder in asked.programmes:
        stock += material.material_from_programmes(folder)
    return stock.exclude_sources(asked.exclude.read_text(encoding="utf-8").split() if asked.exclude else ())


def add_material_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name material."""
    for name, what in (
        ("voices", "folders of speech; a sub-folder is a voice"),
        ("music", "folders of music"),
        ("noises", "folders of noises; some are always synthesised"),
        ("packages", "folders in which the Debian packages lie unpacked"),
        ("programmes", "folders of annotated programmes to cut scenes from"),
    ):
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], metavar="DIR", help=what)
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="names of sources to leave out")


def main() -> None:
    """Write programmes into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    add_material_arguments(parser)
    parser.add_argument("--number", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first one, to make the rest later")
    parser.add_argument("--lessons", action="store_true", help="made to train on")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    stock, shelf = material_from_arguments(asked), DecodedCache()
    style = TRAINING_STYLE if asked.lessons else BROADCAST_STYLE
    for number in range(asked.first, asked.first + asked.number):
        studio = SceneMaker(stock, np.random.default_rng([asked.seed, number]), shelf, style)
        write_programme(make_programme(studio, 60 * asked.minutes), asked.out / f"programme_{asked.seed}_{number:03d}")


if __name__ == "__main__":
    main()
