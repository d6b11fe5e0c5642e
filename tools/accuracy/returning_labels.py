"""Accuracy of labels in mixes of tracks that no model was trained on, and recognition of returning tracks.

    python -m tools.accuracy.returning_labels HELD --tracks DIR

HELD is made by `tools.accuracy.held_out_mixes`. For each of its folds a label model is trained on the other tracks of
DIR; the boundaries are the true ones, slightly displaced and ten seconds late, or those of the fold's boundary model.
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
    """Print a line of scores for each kind of boundaries."""
    settings = make_settings("dj")
    model_of = json.loads((held / "folds.json").read_text())
    mixes = [(truth, extract_texture(truth.audio)) for truth in find_annotated_files(held)]
    figures, counts = {"true": [], "own": []}, {"true": [], "own": []}
    for name in sorted(set(model_of.values())):
        fold = [(truth, vectors) for truth, vectors in mixes if model_of[truth.audio.stem] == name]
        test_labels = {span.label for truth, _ in fold for span in truth.segments}
        label_model = train_track_labels([track for track in tracks if track.name not in test_labels])
        boundary_model = read_boundary_model((held / name).read_bytes(), name)
        rng = np.random.default_rng(0)
        for truth, vectors in fold:
            spans = truth.segments
            for kind, places in (
                ("true", simulate_boundaries(spans, len(vectors), rng)),
                ("own", detect_boundaries(vectors, settings, boundary_model)),
            ):
                history, _ = label_sections(vectors, places, settings, label_model)
                figures[kind].append(
                    scores.score_labels(spans, [LabelledSpan(*section) for section in history.sections.values()])
                )
                counts[kind].append(count_returns(spans, history))
    for kind in figures:
        pairwise, v = np.mean(figures[kind], axis=0)
        recognised, returns, false, new = (
            sum(getattr(one, name) for one in counts[kind]) for name in ("recognised", "returns", "false", "new")
        )
        print(
            f"{kind}: pairwise F {pairwise:.3f}, V {v:.3f}, recognised {recognised} of {returns}, "
            f"falsely {false} of {new}"
        )


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held", type=Path)
    parser.add_argument("--tracks", type=Path, required=True)
    asked = parser.parse_args()
    measure(asked.held, load_track_textures(asked.tracks))


if __name__ == "__main__":
    main()
