"""Mixes to test each fold on, made of the tracks that its model was not trained on.

    python -m tools.accuracy.held_out_mixes OUT --tracks DIR --judged DIR --folds FOLDS [--count 10] [--seed 1000]

FOLDS is written by `tools.training.shipped_models mixes`; the model of a fold was not trained on the tracks of its test
mixes. Writes `--count` mixes of these tracks for each fold, with tempo-matched blends, and a `folds.json` beside them,
so that `tools.accuracy.figures OUT --profile dj --folds OUT` measures the whole program on all.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from streamseg.evaluation.annotations import find_annotated_files
from tools.training.corpora.mixes import Mixer, load_tracks, write_mix


def main() -> None:
    """Make and write the mixes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("tracks", "judged", "folds"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1000, help="another seed gives other mixes of the same tracks")
    asked = parser.parse_args()
    model_of = json.loads((asked.folds / "folds.json").read_text())
    test_labels: dict[str, set[str]] = {}
    for mix in find_annotated_files(asked.judged):
        test_labels.setdefault(model_of[mix.audio.stem], set()).update(span.label for span in mix.segments)
    tracks = list(load_tracks(asked.tracks))
    asked.out.mkdir(parents=True, exist_ok=True)
    names = {}
    for number, (model, labels) in enumerate(sorted(test_labels.items())):
        mixer = Mixer([track for track in tracks if track.name in labels], seed=asked.seed + number)
        for k in range(asked.count):
            name = asked.out / f"held_{number}_{k:02d}"
            write_mix(name, *mixer.make_mix())
            names[name.name] = os.path.relpath(asked.folds / model, asked.out)
    (asked.out / "folds.json").write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main()
