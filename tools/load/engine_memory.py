"""Memory over hours: the pickled engine must not grow.

    python -m tools.load.engine_memory [--hours 10] [--profile room]

Processes an endless programme of scenes as fast as possible; prints the size of the pickled engine after ten minutes
and after every hour. Exit code 1 if the last size is more than 1.1 times the first. tests/laws/test_memory.py has a
short form.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time

import numpy as np

from streamseg.engine import Segmenter
from streamseg.settings import PROFILES, make_settings
from tools.load.hostile_hours import RATE, one_bar

ALLOWED = 1.1
FIRST_S = 600


def scene(rng: np.random.Generator):
    """Make five to forty seconds of one sound: a repeated bar, noise, a chord, or silence."""
    length = int(rng.integers(5, 40)) * RATE
    match rng.integers(4):
        case 0:
            sound = np.resize(one_bar(rng), length)
        case 1:
            sound = rng.normal(0, rng.uniform(0.01, 0.2), length)
        case 2:
            t = np.arange(length) / RATE
            sound = 0.1 * sum(np.sin(2 * np.pi * f * t) for f in 110 * 2 ** (rng.integers(0, 36, 4) / 12))
        case _:
            sound = np.zeros(length)
    return sound.astype(np.float32)


def main() -> int:
    """Process the scenes and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--profile", choices=PROFILES, default="room")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    segmenter = Segmenter(make_settings(asked.profile), sample_rate=RATE, telemetry=True)
    first, due_s, boundaries, began = 0, FIRST_S, 0, time.perf_counter()
    while segmenter.t < asked.hours * 3600:
        said = segmenter.push(scene(rng))
        boundaries += sum(event.type == "streamseg.boundary.confirmed.v1" for event in said)
        if segmenter.t >= due_s:
            size = len(pickle.dumps(segmenter))
            first = first or size
            speed = segmenter.t / (time.perf_counter() - began)
            print(
                f"{segmenter.t / 3600:5.2f} h: {size / 1e6:.3f} MB, {size / first:.4f} of the first, "
                f"{boundaries} changes, {speed:.0f} x realtime",
                flush=True,
            )
            due_s = 3600 if due_s == FIRST_S else due_s + 3600
    size = len(pickle.dumps(segmenter))
    print(f"{segmenter.t / 3600:5.2f} h: {size / first:.4f} of the size after ten minutes")
    return int(size > ALLOWED * first)


if __name__ == "__main__":
    sys.exit(main())
