"""Sung music by itself, annotated as music, on which a sound-class network is tested.

    python -m tools.training.corpora.sung_songs OUT --programmes FOLDER --scores SCORES --soundfonts FILE --classical

writes minutes of singing, `NAME.flac` with its annotation. Each is sung by voices of the material (`--exclude` leaves
voices out), so a network that was trained without them can be tested. `--classical` is like art songs: a voice in
classical manner, mostly with a piano; without it, no singing is classical.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamseg.evaluation.annotations import LabelledSpan
from streamseg.settings import ENGINE_RATE
from tools.training.corpora.material import DecodedCache
from tools.training.corpora.programme_styles import BROADCAST_STYLE
from tools.training.corpora.programmes import (
    add_material_arguments,
    add_singing_arguments,
    material_from_arguments,
    singing_from_arguments,
    write_programme,
)
from tools.training.corpora.scenes import AnnotatedSound, SceneMaker


def main() -> None:
    """Write sung music into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    add_material_arguments(parser)
    add_singing_arguments(parser)
    parser.add_argument("--classical", action="store_true", help="like art songs")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--number", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1000)
    asked = parser.parse_args()
    singing = singing_from_arguments(parser, asked)
    if singing is None:
        parser.error("--scores and --soundfonts are required")
    singing = replace(singing, classical_share=float(asked.classical))
    asked.out.mkdir(parents=True, exist_ok=True)
    collection, cache = material_from_arguments(asked), DecodedCache()
    for number in range(asked.number):
        scene_maker = SceneMaker(
            collection, np.random.default_rng([asked.seed, number]), cache, BROADCAST_STYLE, singing
        )
        sound, spans = scene_maker.make_sung_track(asked.seconds)
        truth = (LabelledSpan(0.0, len(sound) / ENGINE_RATE, "music"),)
        write_programme(AnnotatedSound(sound, truth, spans), asked.out / f"song_{asked.seed}_{number:03d}")


if __name__ == "__main__":
    main()
