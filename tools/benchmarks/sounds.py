"""The sound of the benchmarks: the beginning of a file, or the repeated programme of the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soxr

from streamseg.blocks import Block
from streamseg.engine.features.resampling import Resampler
from streamseg.settings import ENGINE_RATE
from streamseg.sources import open_source, parse_source
from streamseg.sources.demo_programme import SAMPLE_RATE, render_programme

FULL_RATE = 48_000
PIECE = 65_536


def mono(path: Path | None, seconds: float):
    """Return at most `seconds` of the file, float32 at 22,050 Hz, shape (n,)."""
    if path is None:
        programme = np.tile(render_programme(), (int(np.ceil(seconds * SAMPLE_RATE / len(render_programme()))), 1))
        return convert(programme, SAMPLE_RATE)[: round(seconds * ENGINE_RATE)]
    blocks, heard, rate = [], 0, 0
    for item in open_source(parse_source(str(path))[1]):
        if isinstance(item, Block):
            blocks.append(item.samples)
            heard, rate = heard + len(item.samples), item.sample_rate
            if heard > seconds * rate:
                break
    return convert(np.concatenate(blocks), rate)[: round(seconds * ENGINE_RATE)]


def convert(samples, rate):
    resampler = Resampler(rate)
    pieces = [resampler.push(samples[at : at + PIECE]) for at in range(0, len(samples), PIECE)]
    return np.concatenate([*pieces, resampler.flush()])


def stereo(sound):
    """Return the sound as 48 kHz stereo, the second channel slightly later and softer."""
    full = soxr.resample(sound, ENGINE_RATE, FULL_RATE)
    return np.column_stack([full, 0.8 * np.roll(full, 17)]).astype(np.float32)


def cut(samples, size):
    return [samples[at : at + size] for at in range(0, len(samples), size)]
