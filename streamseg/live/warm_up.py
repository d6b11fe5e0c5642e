"""Compiles or loads all kernels before the first sample of a live source is taken."""

from __future__ import annotations

import time
from functools import cache
from typing import Final

import numpy as np

from streamseg.engine import Segmenter
from streamseg.settings import make_settings

_SAMPLE_RATE: Final = 48_000  # Hz; not the engine's, so that the resampler is compiled too
_SECTION_S: Final = 12


@cache
def compile_kernels() -> float:
    """Run every kernel once, so that nothing is compiled while sound comes in. Returns the seconds that took.

    The first run after an installation compiles, about half a minute; later ones load the compiled kernels, about a
    second. Within one process only the first call works; later calls return its figure.

    The sound is noise, a tone and noise again: two sections close and the third is compared with the first, because
    some kernels run only then, and compiling them there would take longer than a ring buffer lasts.
    """
    start = time.perf_counter()
    segmenter = Segmenter(make_settings("broadcast"), sample_rate=_SAMPLE_RATE, telemetry=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((_SAMPLE_RATE, 2))
    second = np.arange(_SAMPLE_RATE) / _SAMPLE_RATE
    tone = 0.1 * np.sin(2 * np.pi * 440 * second)[:, None].repeat(2, axis=1) + 1e-3 * noise
    for samples in (noise, tone, noise):
        for _ in range(_SECTION_S):
            segmenter.push(samples)
    segmenter.finish()
    return time.perf_counter() - start
