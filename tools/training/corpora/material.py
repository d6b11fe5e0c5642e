"""Material for generated programmes: clips of voices, music, jingles and noises, each with the name of its source.

Folds are split by source. Material comes from folders of sound (the source of a clip is its sub-folder, or else its
own name), from unpacked Debian packages that may be trained on, and from annotated programmes with `*.sources.tsv`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.annotations import read_spans
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import decode_file

Signal = NDArray[np.float32]  # mono, at ENGINE_RATE

_ENDINGS = {".ogg", ".flac", ".wav", ".mp3", ".opus", ".g722"}
_JINGLE_S = (2.0, 20.0)  # range of the length of jingles
_MIN_MUSIC_S = 60.0
_MIN_UTTERANCE_S = 1.2  # shorter clips are single words
_MAX_CACHED_SAMPLES = 400_000_000

# Music in packages: prefix of its sources, package, folder in it.
_MUSIC = (
    ("wesnoth", "wesnoth-1.16-music", "usr/share/games/wesnoth/1.16/data/core/music"),
    ("hedgewars", "hedgewars-data", "usr/share/games/hedgewars/Data/Music"),
    ("singularity", "singularity-music", "usr/share/games/singularity/music"),
    ("hyperrogue", "hyperrogue-music", "usr/share/hyperrogue/music"),
    ("extremetuxracer", "extremetuxracer-data", "usr/share/games/etr/music"),
    ("flare", "flare-game", "usr/share/games/flare/mods/fantasycore/music"),
    ("fretsonfire", "fretsonfire-songs-muldjord", "usr/share/games/fretsonfire/data/songs/muldjord"),
)
# Variants of other tracks, single stems, and a file that is not music.
_EXCLUDED_NAMES = re.compile(
    r"frantic-old|airship_remix|track3_enhanced|menu_enhanced|sixtyfour_revisited|tutorial|silence|guitar|rain"
)
_VOICES = (
    ("asterisk_en", "asterisk-core-sounds-en-wav", "usr/share/asterisk/sounds/en_US_f_Allison"),
    ("asterisk_en", "asterisk-core-sounds-en-g722", "usr/share/asterisk/sounds/en_US_f_Allison"),
    ("asterisk_es", "asterisk-core-sounds-es-wav", "usr/share/asterisk/sounds/es_MX_f_Allison"),
    ("asterisk_es", "asterisk-core-sounds-es-g722", "usr/share/asterisk/sounds/es_MX_f_Allison"),
)
_FILLETS = ("fillets-ng-data-cs", "usr/share/games/fillets-ng/sound", {"v": "fillets_cs_big", "m": "fillets_cs_small"})
_NOISES = (("flare", "flare-game", "usr/share/games/flare/mods/fantasycore/soundfx/environment"),)


@dataclass(frozen=True, slots=True)
class SoundClip:
    """A part of a sound file. source: the name of its voice, track or noise."""

    source: str
    path: Path
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class MaterialCollection:
    """Clips by kind."""

    voices: tuple[SoundClip, ...] = ()
    music: tuple[SoundClip, ...] = ()
    jingles: tuple[SoundClip, ...] = ()
    noises: tuple[SoundClip, ...] = ()

    def __add__(self, other: MaterialCollection) -> MaterialCollection:
        return MaterialCollection(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def exclude_sources(self, sources: Iterable[str]) -> MaterialCollection:
        """Return the collection without these sources; names are compared after `normalise_name`."""
        excluded = {normalise_name(source) for source in sources}
        return MaterialCollection(
            *(
                tuple(clip for clip in getattr(self, part.name) if normalise_name(clip.source) not in excluded)
                for part in fields(self)
            )
        )


def normalise_name(source: str) -> str:
    """Reduce the name of a source to lower-case letters, digits and underscores, since lists spell it differently."""
    return re.sub(r"[^a-z0-9_]", "", source.lower())


def material_from_folders(
    voices: Iterable[Path] = (), music: Iterable[Path] = (), noises: Iterable[Path] = ()
) -> MaterialCollection:
    """Collect clips from folders; each sub-folder, or else each file, is one voice, track or noise."""

    def clips(folder: Path) -> Iterator[SoundClip]:
        for path in _sound_files(folder):
            inside = path.relative_to(folder)
            yield from _whole_file_clip(inside.parts[0] if len(inside.parts) > 1 else path.stem, path)

    tracks = [clip for folder in music for clip in clips(folder)]
    return MaterialCollection(
        voices=tuple(clip for folder in voices for clip in clips(folder) if clip.end_s >= _MIN_UTTERANCE_S),
        music=tuple(clip for clip in tracks if clip.end_s >= _MIN_MUSIC_S),
        jingles=tuple(clip for clip in tracks if _JINGLE_S[0] <= clip.end_s < _JINGLE_S[1]),
        noises=tuple(clip for folder in noises for clip in clips(folder)),
    )


def material_from_packages(root: Path) -> MaterialCollection:
    """Collect clips from the Debian packages that may be trained on and are unpacked as root/PACKAGE."""
    voices: list[SoundClip] = []
    tracks: list[SoundClip] = []
    noises: list[SoundClip] = []
    for voice, package, inside in _VOICES:
        paths = [path for path in _sound_files(root / package / inside) if path.parent.name != "silence"]
        voices += [clip for path in paths for clip in _whole_file_clip(voice, path)]
    package, inside, speakers = _FILLETS
    for path in _sound_files(root / package / inside):
        speaker = speakers.get(([*path.stem.split("-"), ""])[1])
        voices += _whole_file_clip(speaker, path) if speaker else []
    for into, places in ((tracks, _MUSIC), (noises, _NOISES)):
        for prefix, package, inside in places:
            for path in _sound_files(root / package / inside):
                stem = path.parent.name if path.stem == "song" else path.stem
                if not _EXCLUDED_NAMES.search(path.name.lower()) or into is noises:
                    into += _whole_file_clip(f"{prefix}_{normalise_name(stem)}", path)
    return MaterialCollection(
        voices=tuple(clip for clip in voices if clip.end_s >= _MIN_UTTERANCE_S),
        music=tuple(clip for clip in tracks if clip.end_s >= _MIN_MUSIC_S),
        jingles=tuple(clip for clip in tracks if _JINGLE_S[0] <= clip.end_s < _JINGLE_S[1]),
        noises=tuple(clip for clip in noises if clip.end_s >= 1.0),
    )


def material_from_programmes(folder: Path) -> MaterialCollection:
    """Collect clips from annotated programmes: the overlap of every row of `NAME.sources.tsv` with each scene."""
    clips_by_label: dict[str, list[SoundClip]] = {"speech": [], "music": [], "jingle": [], "noise": []}
    for sources in sorted(folder.glob("*.sources.tsv")):
        prefix = sources.name.removesuffix("sources.tsv")
        audio = next(path for path in _sound_files(folder) if path.name.startswith(prefix))
        scenes = read_spans(audio.with_suffix(".segments.tsv"))
        with sources.open(newline="", encoding="utf-8") as file:
            rows = [(float(row[0]), float(row[1]), row[2]) for row in csv.reader(file, delimiter="\t")]
        for start, end, source in rows:
            for scene in scenes:
                first, last = max(start, scene.start), min(end, scene.end)
                if scene.label in clips_by_label and last - first >= _MIN_UTTERANCE_S:
                    clips_by_label[scene.label].append(SoundClip(source, audio, first, last))
    return MaterialCollection(*(tuple(clips) for clips in clips_by_label.values()))


@dataclass(slots=True)
class DecodedCache:
    """The decoded files that were used last."""

    sounds: dict[Path, Signal] = field(default_factory=dict)
    n_samples: int = 0

    def get_clip(self, clip: SoundClip) -> Signal:
        """Return the sound of a clip, mono at ENGINE_RATE. Raises what `AudioFileSource` raises."""
        is_new = clip.path not in self.sounds
        sound = decode_file(clip.path) if is_new else self.sounds.pop(clip.path)
        self.sounds[clip.path] = sound
        self.n_samples += len(sound) if is_new else 0
        while self.n_samples > _MAX_CACHED_SAMPLES and len(self.sounds) > 1:
            self.n_samples -= len(self.sounds.pop(next(iter(self.sounds))))
        return sound[round(clip.start_s * ENGINE_RATE) : round(clip.end_s * ENGINE_RATE)]


def _sound_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS and not path.is_symlink())


def _whole_file_clip(source: str, path: Path) -> list[SoundClip]:
    """Return the whole file as a clip, or nothing if it does not state its length."""
    try:
        with av.open(str(path)) as container:
            duration_s = (container.duration or 0) / 1e6
    except av.error.FFmpegError:
        return []
    return [SoundClip(source, path, 0.0, duration_s)] if duration_s > 0 else []
