"""Radio programmes made of scenes, in the shape of annotated recordings.

    python -m tools.training.corpora.programmes OUT --packages DIR --number 20 --seed 1

writes `NAME.flac`, `NAME.segments.tsv` (start, end, class) and `NAME.sources.tsv` (every utterance, track and noise).
With `--lessons` the programmes are for training: short scenes of every kind, harder mixtures, and the degradation of a
receiver (`degradation.py`); with `--scores` and `--soundfonts`, music is also sung (`sung_music.py`). The running order
is drawn first and the sound made from it, so the annotation is exact. Voices, tracks and noises named in the file given
as `--exclude` are left out, which makes folds by source.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.settings import ENGINE_RATE
from tools.training.corpora import degradation, material, noises
from tools.training.corpora.material import DecodedCache, MaterialCollection
from tools.training.corpora.programme_styles import BROADCAST_STYLE, TRAINING_STYLE
from tools.training.corpora.scenes import AnnotatedSound, SceneMaker, Signal
from tools.training.corpora.sung_music import SungMusicMaker

_JOIN_S = 0.008  # ramp at a hard cut, against the click


def make_programme(scene_maker: SceneMaker, seconds: float) -> AnnotatedSound:
    """Make a programme of about this many seconds. Adjacent scenes differ in class."""
    scenes: list[AnnotatedSound] = []
    kinds = scene_maker.kind_odds()
    last, total = "", 0.0
    while total < seconds:
        possible = [kind for kind in kinds if not _may_not_follow(last, kind)]
        odds = np.array([kinds[kind] for kind in possible])
        scene = scene_maker.make_scene(possible[scene_maker.rng.choice(len(possible), p=odds / odds.sum())])
        if scenes and scenes[-1].segments[-1].label == scene.segments[0].label:
            continue
        scenes.append(scene)
        last, total = scene.segments[-1].label, total + len(scene.sound) / ENGINE_RATE
    whole = join_scenes(scenes)
    if not scene_maker.style.is_degraded:
        return whole
    return AnnotatedSound(degradation.degrade(whole.sound, scene_maker.rng), whole.segments, whole.sources)


def join_scenes(scenes: Sequence[AnnotatedSound]) -> AnnotatedSound:
    """Concatenate scenes."""
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
    return AnnotatedSound(np.concatenate(parts), tuple(segments), tuple(sources))


def write_programme(programme: AnnotatedSound, stem: Path) -> None:
    """Write the sound as STEM.flac, with its annotation beside it."""
    write_flac(programme.sound, stem.with_name(stem.name + ".flac"))
    for name, spans in (("segments", programme.segments), ("sources", programme.sources)):
        with stem.with_name(f"{stem.name}.{name}.tsv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, delimiter="\t", lineterminator="\n")
            rows.writerows((f"{span.start:.4f}", f"{span.end:.4f}", span.label) for span in spans)


def write_flac(sound: Signal, path: Path) -> None:
    """Write mono sound at ENGINE_RATE as FLAC of 16 bits."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=ENGINE_RATE, layout="mono")
        samples = np.round(np.clip(sound, -1, 1) * 32_767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = ENGINE_RATE
        fifo = av.AudioFifo()
        fifo.write(frame)
        for piece in fifo.read_many(4096, partial=True):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def _may_not_follow(last: str, kind: str) -> bool:
    """Tell whether the annotation would not separate the two: the same class, or talk over the music before it."""
    musical = {"music", "jingle", "speech_over_music"}
    return (
        last == kind or (last in musical and kind == "speech_over_music") or (last == "music" and kind == "sung_music")
    )


def material_from_arguments(asked: argparse.Namespace) -> MaterialCollection:
    """Collect the material that the command line names."""
    collection = material.material_from_folders(asked.voices, asked.music, asked.noises)
    for root in asked.packages:
        collection += material.material_from_packages(root)
    for folder in asked.programmes:
        collection += material.material_from_programmes(folder)
    return collection.exclude_sources(asked.exclude.read_text(encoding="utf-8").split() if asked.exclude else ())


def add_material_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name material."""
    for name, what in (
        ("voices", "folders of speech; a sub-folder is a voice"),
        ("music", "folders of music"),
        ("noises", "folders of noises; some are always synthesised"),
        ("packages", "folders with the unpacked Debian packages"),
        ("programmes", "folders of annotated programmes to cut scenes from"),
    ):
        parser.add_argument(f"--{name}", type=Path, nargs="*", default=[], metavar="DIR", help=what)
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="names of sources to leave out")


def add_singing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the scores of sung music."""
    parser.add_argument("--scores", type=Path, metavar="DIR", help="annotated scores, for sung music")
    parser.add_argument("--soundfonts", type=Path, nargs="+", metavar="FILE", help="SoundFonts that play the scores")


def singing_from_arguments(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> SungMusicMaker | None:
    """Return the maker of sung music that the command line asks for."""
    if (asked.scores is None) != (asked.soundfonts is None):
        parser.error("--scores and --soundfonts are needed together: pass both, or neither")
    if asked.scores is None:
        return None
    paths = tuple(sorted(asked.scores.glob("*.mid")))
    if not paths:
        parser.error(f"no scores (NAME.mid) in {asked.scores}")
    return SungMusicMaker(paths, tuple(asked.soundfonts))


def main() -> None:
    """Write programmes into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    add_material_arguments(parser)
    parser.add_argument("--number", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--lessons", action="store_true", help="programmes to train on")
    add_singing_arguments(parser)
    asked = parser.parse_args()
    singing = singing_from_arguments(parser, asked)
    asked.out.mkdir(parents=True, exist_ok=True)
    collection, cache = material_from_arguments(asked), DecodedCache()
    style = TRAINING_STYLE if asked.lessons else BROADCAST_STYLE
    for number in range(asked.first, asked.first + asked.number):
        scene_maker = SceneMaker(collection, np.random.default_rng([asked.seed, number]), cache, style, singing)
        write_programme(
            make_programme(scene_maker, 60 * asked.minutes), asked.out / f"programme_{asked.seed}_{number:03d}"
        )


if __name__ == "__main__":
    main()
