"""Tracks to train on: their texture, as the engine hears it, with their truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Block
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.resampling import Resampler
from streamseg.engine.features.texture import HOP_FRAMES, SPAN_FRAMES, VECTOR_DIMS, TextureExtractor
from streamseg.evaluation.annotations import AnnotatedFile
from streamseg.settings import ENGINE_RATE, FRAME, HOP
from streamseg.sources import AudioFileSource

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrackTexture:
    """A file's texture with its truth."""

    truth: AnnotatedFile
    vectors: Floats
    source: str  # tracks of one source never stand on both sides of a fold


def extract_texture(path: Path) -> Floats:
    """All texture vectors of a file, as the engine hears them; shape (n, VECTOR_DIMS)."""
    texture = TextureExtractor()
    found = [vector[None] for frames in extract_frames(path) for _, vector in texture.push(frames)]
    return np.concatenate([np.zeros((0, VECTOR_DIMS)), *found])


def extract_frames(path: Path) -> Iterator[Floats]:
    """All feature frames of a file, as the engine hears them, block by block."""
    features = FeatureExtractor()
    resampler: Resampler | None = None
    for item in AudioFileSource(str(path)):
        if isinstance(item, Block):
            resampler = resampler or Resampler(item.sample_rate)
            yield features.push(resampler.push(item.samples))


def step_to_time(step: int | NDArray[np.int64]) -> Floats:
    """Stream seconds of a change before texture vector `step`."""
    last_frame = SPAN_FRAMES - 1 + np.asarray(step) * HOP_FRAMES
    frame = last_frame + 1 - (SPAN_FRAMES + HOP_FRAMES) // 2
    seconds: Floats = (frame * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    return seconds


def step_end_time(step: int) -> float:
    """Stream seconds at which the texture vector before `step` is complete."""
    return float(((SPAN_FRAMES - 1 + (step - 1) * HOP_FRAMES) * HOP + FRAME) / ENGINE_RATE)
