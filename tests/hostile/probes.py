"""Whether a label keeps its meaning for hours.

    python tests/hostile/probes.py FOLDER [--hours 10] [--profile dj]

The annotated files of a folder one after the other, over and over, with the detector's own boundaries. The true
sections of twenty seconds and more are the probes: every ten minutes each is asked for its label. One that was
recognised before and is now called something else, or nothing known, has changed. Exit code 1 when more than 1 % did.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from streamseg.engine.changepoints import ChangePoints
from streamseg.engine.judge import Judge
from streamseg.engine.portrait import Portrait
from streamseg.engine.sections import Sections
from streamseg.engine.texture import STEP_S
from streamseg.evaluation.annotations import annotated_files
from streamseg.evaluation.clusterers import LOOKBACK_S
from streamseg.evaluation.tracks import boundary_time, texture_of
from streamseg.memory import Memory
from streamseg.settings import PROFILES, settings_for
from streamseg.weights import shipped_label_model, shipped_model

ALLOWED = 0.01
EVERY_S = 600
LONG_S = 20.0


def portraits(truth, vectors):
    """Of the long sections of a file."""
    at = boundary_time(np.arange(len(vectors)))
    for span in truth.segments:
        if span.end - span.start < LONG_S:
            continue
        portrait = Portrait()
        portrait.push(vectors[(at > span.start + 2) & (at < span.end - 2)])
        yield portrait


def main() -> int:
    """Ask them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--profile", choices=PROFILES, default="dj")
    asked = parser.parse_args()
    settings = settings_for(asked.profile)
    files = [(truth, texture_of(truth.audio)) for truth in annotated_files(asked.folder)]
    probes = [portrait for truth, vectors in files for portrait in portraits(truth, vectors)]
    model = shipped_model(settings.profile)
    judge, changes = Judge(model), ChangePoints(settings, model)
    sections = Sections(settings, LOOKBACK_S, shipped_label_model(settings.profile), Memory())
    known: dict[int, str | None] = {}
    probed = changed = 0
    endless = itertools.cycle(vector for _, vectors in files for vector in vectors)
    for step, vector in enumerate(itertools.islice(endless, round(asked.hours * 3600 / STEP_S)), 1):
        t = float(boundary_time(step))
        sections.push(vector)
        for change in changes.push(judge.push(vector)):
            sections.say(change, float(boundary_time(change.step)), t, 0.5, at_end=False)
        if step % round(EVERY_S / STEP_S):
            continue
        for number, portrait in enumerate(probes):
            guess = sections._labels.guess(portrait)
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
