"""Compiles or loads the kernels (numba functions of the engine) before live sound is processed."""

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
    """Compile or load all kernels by running each once, before live sound comes in; return the seconds this took.

    The first run after an installation compiles, about half a minute; later runs load the compiled kernels, about a
    second. In one process only the first call does this; later calls return its figure.

    The sound that is processed is noise, a tone and noise again: two sections close and the third is compared with the
    first. Some kernels run only then, and compiling them during live sound would overflow the ring buffer.
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
