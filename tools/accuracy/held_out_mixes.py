"""Mixes that each fold can be tried on, made of the tracks that its judge has not heard.

    python -m tools.accuracy.held_out_mixes OUT --tracks DIR --judged DIR --folds FOLDS [--count 10] [--seed 1000]

FOLDS is what `train_shipped mixes` left; the tracks of the judged mixes of a fold are what its judge has not heard.
Writes `--count` mixes of them for each fold, tempo-matched blends among them, and a `folds.json` beside them, so that
`figures.py OUT --profile dj --folds OUT` measures the whole program on all.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from streamseg.evaluation.annotations import find_annotated_files
from tools.training.corpora.mixes import Mixer, load_tracks, write_mix


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("tracks", "judged", "folds"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1000, help="others make other mixes of the same tracks")
    asked = parser.parse_args()
    judge_of = json.loads((asked.folds / "folds.json").read_text())
    unheard: dict[str, set[str]] = {}
    for mix in find_annotated_files(asked.judged):
        unheard.setdefault(judge_of[mix.audio.stem], set()).update(span.label for span in mix.segments)
    tracks = list(load_tracks(asked.tracks))
    asked.out.mkdir(parents=True, exist_ok=True)
    names = {}
    for number, (judge, unknown) in enumerate(sorted(unheard.items())):
        mixer = Mixer([track for track in tracks if track.name in unknown], seed=asked.seed + number)
        for k in range(asked.count):
            name = asked.out / f"held_{number}_{k:02d}"
            write_mix(name, *mixer.make_mix())
            names[name.name] = os.path.relpath(asked.folds / judge, asked.out)
    (asked.out / "folds.json").write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main()
