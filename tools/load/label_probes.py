"""Stability of labels over hours.

    python -m tools.load.label_probes FOLDER [--hours 10] [--profile dj]

The annotated files of a folder are processed one after the other, repeatedly, with the detector's own boundaries. The
true sections of at least twenty seconds are the probes: every ten minutes the label of each is estimated. A probe that
was recognised before and now has another label, or none, has changed. Exit code 1 if more than 1 % have changed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from streamseg.engine.boundaries.classifier import BoundaryClassifier
from streamseg.engine.boundaries.tracker import BoundaryTracker
from streamseg.engine.features.texture import STEP_S
from streamseg.engine.labels.descriptor import SectionDescriptor
from streamseg.engine.models.loader import load_boundary_model, load_label_model
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.evaluation.annotations import find_annotated_files
from streamseg.evaluation.tracks import extract_texture, step_to_time
from streamseg.settings import PROFILES, make_settings
from tools.comparison.clusterers import LOOKBACK_S

ALLOWED = 0.01
EVERY_S = 600
LONG_S = 20.0


def describe_long_sections(truth, vectors):
    """Compute the descriptors of the long sections of a file."""
    at = step_to_time(np.arange(len(vectors)))
    for span in truth.segments:
        if span.end - span.start < LONG_S:
            continue
        portrait = SectionDescriptor()
        portrait.push(vectors[(at > span.start + 2) & (at < span.end - 2)])
        yield portrait


def main() -> int:
    """Process the files and estimate the labels of the probes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--profile", choices=PROFILES, default="dj")
    asked = parser.parse_args()
    settings = make_settings(asked.profile)
    files = [(truth, extract_texture(truth.audio)) for truth in find_annotated_files(asked.folder)]
    probes = [portrait for truth, vectors in files for portrait in describe_long_sections(truth, vectors)]
    model = load_boundary_model(settings.profile)
    judge, changes = BoundaryClassifier(model), BoundaryTracker(settings, model)
    sections = SectionTracker(settings, LOOKBACK_S, load_label_model(settings.profile), NamedSounds())
    known: dict[int, str | None] = {}
    probed = changed = 0
    endless = itertools.cycle(vector for _, vectors in files for vector in vectors)
    for step, vector in enumerate(itertools.islice(endless, round(asked.hours * 3600 / STEP_S)), 1):
        t = float(step_to_time(step))
        sections.push(vector)
        for change in changes.push(judge.push(vector)):
            sections.apply_decision(change, float(step_to_time(change.step)), t, 0.5, at_end=False)
        if step % round(EVERY_S / STEP_S):
            continue
        for number, portrait in enumerate(probes):
            guess = sections._labels.estimate_label(portrait)
            label = guess.label if guess.seen_before else None
            if number in known:
                probed += 1
                changed += known[number] != label
            if label:
                known[number] = label
            else:
                known.pop(number, None)
        print(f"{t / 3600:5.2f} h: {len(known)} of {len(probes)} known, {changed} of {probed} changed", flush=True)
    return int(changed > ALLOWED * probed)


if __name__ == "__main__":
    sys.exit(main())
