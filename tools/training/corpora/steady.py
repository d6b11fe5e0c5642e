"""Stationary sound without boundaries: silence, noises, tones, and loops of single bars.

`python -m tools.training.corpora.steady OUT --loops FILE…` writes one file of each and a loop from each FILE, with a
NAME.segments.tsv of a single row. They are negatives for the training of the boundary classifier.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.training.corpora import SAMPLE_RATE, decode_file, write_vorbis

Samples = NDArray[np.float32]
_LENGTH_S = 240


def steady_sounds(rng: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    """Make silence, hiss, white and coloured noise, a tone, hum, a chord and clicks; yields name and samples."""
    n = _LENGTH_S * SAMPLE_RATE
    t = np.arange(n) / SAMPLE_RATE
    white = rng.normal(size=n)
    spectrum = np.fft.rfft(white)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20.0)
    pink = np.fft.irfft(spectrum / np.sqrt(hz), n)
    brown = np.fft.irfft(spectrum / hz, n)
    sounds = {
        "silence": np.zeros(n),
        "hiss": 1e-4 * white,
        "white": 0.1 * white,
        "pink": 0.1 * pink / pink.std(),
        "brown": 0.1 * brown / brown.std(),
        "tone": 0.3 * np.sin(2 * np.pi * rng.uniform(200, 900) * t),
        "hum": sum(0.2 / k * np.sin(2 * np.pi * 50 * k * t) for k in (1, 2, 3, 5)),
        "chord": sum(0.1 * np.sin(2 * np.pi * 220 * 2 ** (step / 12) * t) for step in (0, 4, 7, 12)),
        "clicks": np.where(np.arange(n) % (SAMPLE_RATE // 2) < 40, 0.5, 0.0),
    }
    for name, samples in sounds.items():
        yield name, np.asarray(samples, np.float32)


def make_loop(samples: Samples, rng: np.random.Generator) -> Samples:
    """Repeat a random bar of 1.5 to 4 s of the samples."""
    bar = int(rng.uniform(1.5, 4.0) * SAMPLE_RATE)
    start = int(rng.integers(0, max(1, len(samples) - bar)))
    loop = samples[start : start + bar].copy()
    ramp = np.linspace(0, 1, SAMPLE_RATE // 200, dtype=np.float32)
    loop[: len(ramp)] *= ramp
    loop[-len(ramp) :] *= ramp[::-1]
    return np.tile(loop, -(-_LENGTH_S * SAMPLE_RATE // len(loop)))[: _LENGTH_S * SAMPLE_RATE]


def main() -> None:
    """Make and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--loops", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    sounds = [
        *steady_sounds(rng),
        *((f"loop_{k:02d}", make_loop(decode_file(path), rng)) for k, path in enumerate(asked.loops)),
    ]
    for name, samples in sounds:
        write_vorbis(asked.out / f"{name}.ogg", samples)
        row = f"0.0000\t{len(samples) / SAMPLE_RATE:.4f}\tsteady\n"
        (asked.out / f"{name}.segments.tsv").write_text(row, encoding="utf-8")


if __name__ == "__main__":
    main()
