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
from streamseg.engine.features.texture import VECTOR_DIMS, TextureExtractor
from streamseg.engine.timeline import step_end_time, step_to_time
from streamseg.evaluation.annotations import AnnotatedFile
from streamseg.sources import AudioFileSource

__all__ = ["TrackTexture", "extract_frames", "extract_texture", "step_end_time", "step_to_time"]

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
