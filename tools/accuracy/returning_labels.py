"""Labels in mixes of tracks that nothing was trained on: how right they are, and which returning tracks are known.

    python -m tools.accuracy.returning_labels HELD --tracks DIR

HELD is what `held_apart.py` made. For each of its folds a label model is trained on the other tracks of DIR; the
boundaries are the true ones, misplaced a little and known ten seconds late, or those of the fold's own judge.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from streamseg.engine.models.weights import read_boundary_model
from streamseg.evaluation import scores
from streamseg.evaluation.annotations import LabelledSpan, find_annotated_files
from streamseg.evaluation.tracks import extract_texture
from streamseg.settings import make_settings
from tools.comparison.clusterers import count_returns, detect_boundaries, label_sections, simulate_boundaries
from tools.training.label_training import load_track_textures, train_track_labels


def measure(held: Path, tracks) -> None:
    """Print a line for each kind of boundaries."""
    settings = make_settings("dj")
    judge_of = json.loads((held / "folds.json").read_text())
    mixes = [(truth, extract_texture(truth.audio)) for truth in find_annotated_files(held)]
    figures, counts = {"true": [], "own": []}, {"true": [], "own": []}
    for judge in sorted(set(judge_of.values())):
        mine = [(truth, vectors) for truth, vectors in mixes if judge_of[truth.audio.stem] == judge]
        unheard = {span.label for truth, _ in mine for span in truth.segments}
        model = train_track_labels([track for track in tracks if track.name not in unheard])
        change_model = read_boundary_model((held / judge).read_bytes(), judge)
        rng = np.random.default_rng(0)
        for truth, vectors in mine:
            spans = truth.segments
            for kind, places in (
                ("true", simulate_boundaries(spans, len(vectors), rng)),
                ("own", detect_boundaries(vectors, settings, change_model)),
            ):
                heard, _ = label_sections(vectors, places, settings, model)
                figures[kind].append(
                    scores.score_labels(spans, [LabelledSpan(*section) for section in heard.sections.values()])
                )
                counts[kind].append(count_returns(spans, heard))
    for kind in figures:
        pairwise, v = np.mean(figures[kind], axis=0)
        known, back, false, new = (
            sum(getattr(one, what) for one in counts[kind]) for what in ("recognised", "returns", "false", "new")
        )
        print(f"{kind}: pairwise F {pairwise:.3f}, V {v:.3f}, recognised {known} of {back}, falsely {false} of {new}")


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held", type=Path)
    parser.add_argument("--tracks", type=Path, required=True)
    asked = parser.parse_args()
    measure(asked.held, load_track_textures(asked.tracks))


if __name__ == "__main__":
    main()
