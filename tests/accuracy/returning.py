"""Labels in mixes of tracks that nothing was trained on: how right they are, and which returning tracks are known.

    python tests/accuracy/returning.py HELD --tracks DIR

HELD is what `held_apart.py` made. For each of its folds a label model is trained on the other tracks of DIR; the
boundaries are the true ones, misplaced a little and known ten seconds late, or those of the fold's own judge.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from streamseg.evaluation import scores
from streamseg.evaluation.annotations import Span, annotated_files
from streamseg.evaluation.clusterers import hear, own_boundaries, returned, true_boundaries
from streamseg.evaluation.tracks import texture_of
from streamseg.evaluation.train_labels import heard_tracks, train_tracks
from streamseg.settings import settings_for
from streamseg.weights import read_model


def measure(held: Path, tracks) -> None:
    """Print a line for each kind of boundaries."""
    settings = settings_for("dj")
    judge_of = json.loads((held / "folds.json").read_text())
    mixes = [(truth, texture_of(truth.audio)) for truth in annotated_files(held)]
    figures, counts = {"true": [], "own": []}, {"true": [], "own": []}
    for judge in sorted(set(judge_of.values())):
        mine = [(truth, vectors) for truth, vectors in mixes if judge_of[truth.audio.stem] == judge]
        unheard = {span.label for truth, _ in mine for span in truth.segments}
        model = train_tracks([track for track in tracks if track.name not in unheard])
        change_model = read_model((held / judge).read_bytes(), judge)
        rng = np.random.default_rng(0)
        for truth, vectors in mine:
            spans = truth.segments
            for kind, places in (
                ("true", true_boundaries(spans, len(vectors), rng)),
                ("own", own_boundaries(vectors, settings, change_model)),
            ):
                heard, _ = hear(vectors, places, settings, model)
                figures[kind].append(scores.labels(spans, [Span(*section) for section in heard.sections.values()]))
                counts[kind].append(returned(spans, heard))
    for kind in figures:
        pairwise, v = np.mean(figures[kind], axis=0)
        known, back, false, new = (
            sum(getattr(one, what) for one in counts[kind]) for what in ("recognised", "returning", "false", "new")
        )
        print(f"{kind}: pairwise F {pairwise:.3f}, V {v:.3f}, recognised {known} of {back}, falsely {false} of {new}")


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held", type=Path)
    parser.add_argument("--tracks", type=Path, required=True)
    asked = parser.parse_args()
    measure(asked.held, heard_tracks(asked.tracks))


if __name__ == "__main__":
    main()
