"""An hour each of silence, white noise, a steady tone and one looped bar, through every profile.

    python -m tools.load.hostile_hours [--minutes 60] [--profile music]… [--sound bar]… [--seed 0]

None of them has a boundary, so at most one may be confirmed in each after the first minute. Prints a line for each run;
exit code 1 if one has more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamseg.engine import segment
from streamseg.settings import PROFILES, Profile, make_settings
from streamseg.wire.events import BoundaryConfirmed

RATE = 22_050
SETTLED_S = 60.0  # from here on nothing is new
ALLOWED = 1
SOUNDS = ("silence", "noise", "tone", "bar")


def one_bar(rng: np.random.Generator) -> NDArray[np.float32]:
    """Make four beats of drums, bass and a chord, with random tempo and key; its length is no multiple of a frame."""
    beat = round(60 / rng.uniform(84, 136) * RATE)
    t = np.arange(4 * beat) / RATE
    root = 55 * 2 ** (rng.integers(12) / 12)
    chord = sum(np.sin(2 * np.pi * root * 4 * ratio * k * t) / k**2 for ratio in (1, 1.25, 1.5) for k in (1, 2, 3, 4))
    bass = np.sign(np.sin(2 * np.pi * root * t)) * (np.arange(len(t)) % beat < beat * 0.7)
    bar = 0.05 * chord + 0.05 * bass
    for place in range(8):
        at = place * beat // 2
        decay = np.exp(-np.arange(beat // 2) / (0.03 * RATE))
        hit = rng.normal(0, 0.15 if place % 4 == 2 else 0.05, len(decay)) * decay
        if place % 4 == 0:
            hit += 0.5 * np.sin(2 * np.pi * 60 * np.arange(len(decay)) / RATE) * decay
        bar[at : at + len(hit)] += hit
    return bar.astype(np.float32)


def blocks(sound: str, minutes: float, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield the sound in blocks of a second, without a seam."""
    rng = np.random.default_rng(seed)
    bar = one_bar(rng)
    for second in range(round(minutes * 60)):
        n = np.arange(second * RATE, (second + 1) * RATE)
        match sound:
            case "silence":
                yield np.zeros(RATE, np.float32)
            case "noise":
                yield rng.normal(0, 0.1, RATE).astype(np.float32)
            case "tone":
                yield (0.3 * np.sin(2 * np.pi * 440.0 * n / RATE)).astype(np.float32)
            case "bar":
                yield bar[n % len(bar)]


def find_confirmed(sound: str, minutes: float, profile: Profile, seed: int = 0) -> list[float]:
    """Return the boundaries confirmed after the first minute, stream seconds."""
    events = segment(blocks(sound, minutes, seed), make_settings(profile), sample_rate=RATE)
    return [event.data.t for event in events if isinstance(event.data, BoundaryConfirmed) and event.data.t > SETTLED_S]


def main() -> int:
    """Run all sounds and profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--profile", choices=PROFILES, action="append")
    parser.add_argument("--sound", choices=SOUNDS, action="append")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    failed = 0
    for sound in asked.sound or SOUNDS:
        for profile in asked.profile or PROFILES:
            said = find_confirmed(sound, asked.minutes, profile, asked.seed)
            failed += len(said) > ALLOWED
            verdict = "ok" if len(said) <= ALLOWED else "TOO MANY"
            where = " ".join(f"{t:.1f}" for t in said[:12])
            print(
                f"{sound:>8} {profile:>10} {asked.minutes:g} min: {len(said)} changes  {verdict}  {where}", flush=True
            )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
