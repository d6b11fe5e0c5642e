"""A week of random textures through every clusterer: neither slower nor larger at its end than at its start.

    python -m tools.load.clusterers_week [--days 7] [--clusterer sections]… [--seed 0]

Sections of random length, of returning or new sounds, with boundaries that are decided 10 s late; some vectors have
values that are not finite. Prints a line for each day. Exit code 1 if an update takes longer on the last day than on
the second, if the pickled labels grow, if the median over days of the p99 of the default clusterer is over 2 ms, or if
one restored from its pickle gives other labels.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.boundaries.tracker import BoundaryDecision
from streamseg.engine.features.texture import STEP_S, VECTOR_DIMS
from streamseg.engine.models.loader import load_label_model
from streamseg.engine.named_sounds import NamedSounds
from streamseg.engine.sections.lifecycle import SectionTracker
from streamseg.settings import ClustererName, make_settings
from streamseg.wire.events import Event

DAY = round(86_400 / STEP_S)  # vectors
KINDS = 40  # that come back
KNOWN = 20  # vectors after which a boundary is known
BROKEN = 0.001  # of the vectors are not all numbers
SLOWER_MOST = 1.3
LARGER_MOST = 1.1
P99_MS = 2.0  # of the shipped default
RESUMED = 2000  # vectors compared after a pickle

Step = tuple[NDArray[np.float64], int | None]  # a texture vector, and the change that is known with it


def textures(seed: int) -> Iterator[Step]:
    """Yield random texture vectors without end."""
    rng = np.random.default_rng(seed)
    pool = rng.normal(0, 1, (KINDS, VECTOR_DIMS))
    for number in count():
        place = pool[rng.integers(KINDS)] if rng.random() < 0.7 else rng.normal(0, 1, VECTOR_DIMS)
        length = round(float(np.exp(rng.uniform(np.log(15), np.log(300)))) / STEP_S)
        for i in range(length):
            vector = np.clip(place + rng.normal(0, 0.5, VECTOR_DIMS), -5, 5)
            if rng.random() < BROKEN:
                vector[rng.integers(VECTOR_DIMS)] = rng.choice([np.nan, np.inf, -np.inf])
            yield vector, number if number and i == KNOWN else None


class TextureLabeller:
    """Labels the sections of random textures with one clusterer."""

    def __init__(self, clusterer: ClustererName) -> None:
        settings = make_settings("dj", clusterer=clusterer)
        self.sections = SectionTracker(settings, 30.0, load_label_model("dj"), NamedSounds())
        self.step = 0

    def push(self, step: Step) -> list[Event]:
        vector, change = step
        events = self.sections.push(vector)
        self.step += 1
        if change is not None:
            at = self.step - KNOWN
            known = BoundaryDecision("confirmed", change, at, 0.9, 0.5)
            events += self.sections.apply_decision(known, at * STEP_S, self.step * STEP_S, 0.5, at_end=False)
        return events


def is_resumable(labeller: TextureLabeller, steps: list[Step]) -> bool:
    """Tell whether a pickled copy gives the same labels over these steps; the labeller processes them too."""
    back = pickle.loads(pickle.dumps(labeller))
    return all(back.push(step) == labeller.push(step) for step in steps)


def main() -> int:
    """Run the week."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--clusterer", choices=get_args(ClustererName), action="append")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    failed = 0
    for name in asked.clusterer or get_args(ClustererName):
        labeller, steps, days = TextureLabeller(name), textures(asked.seed), []
        for day in range(1, asked.days + 1):
            took_ms = np.empty(DAY - RESUMED)
            for i, step in enumerate(islice(steps, len(took_ms))):
                began = time.perf_counter()
                labeller.push(step)
                took_ms[i] = 1e3 * (time.perf_counter() - began)
            mean, (p50, p99) = took_ms.mean(), np.percentile(took_ms, [50, 99])
            size, same = len(pickle.dumps(labeller)), is_resumable(labeller, [*islice(steps, RESUMED)])
            days.append((mean, p99, size, same))
            figures = f"{mean:.3f} ms an update (p50 {p50:.3f}, p99 {p99:.3f}), {size / 1024:.0f} KiB"
            resumed = "resumes the same" if same else "RESUMES DIFFERENTLY"
            print(f"{name:>12}, day {day}: {figures}, {resumed}", flush=True)
        means, p99s, sizes, sames = zip(*days, strict=True)
        early = min(1, len(days) - 1)
        grows = means[-1] > SLOWER_MOST * means[early] or sizes[-1] > LARGER_MOST * sizes[early]
        slow = name == "sections" and float(np.median(p99s)) > P99_MS
        bad = grows or slow or not all(sames)
        failed += bad
        print(f"{name:>12}: {'FAILED' if bad else 'ok'}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
