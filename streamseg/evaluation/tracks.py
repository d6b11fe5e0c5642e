"""Annotated tracks with the texture vectors that the engine computes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.mono import convert_to_mono
from streamseg.engine.features.texture import VECTOR_DIMS, TextureExtractor
from streamseg.engine.timeline import step_to_time, time_after_steps
from streamseg.evaluation.annotations import AnnotatedFile
from streamseg.sources import AudioFileSource

__all__ = ["TrackTexture", "extract_frames", "extract_texture", "step_to_time", "time_after_steps"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrackTexture:
    """The texture of an annotated file.

    vectors: shape (n, VECTOR_DIMS). source: tracks of one source are never on both sides of a fold.
    """

    truth: AnnotatedFile
    vectors: Floats
    source: str


def extract_texture(path: Path) -> Floats:
    """Compute all texture vectors of a file, shape (n, VECTOR_DIMS)."""
    texture = TextureExtractor()
    rows = [vector[None] for frames in extract_frames(path) for _, vector in texture.push(frames)]
    return np.concatenate([np.zeros((0, VECTOR_DIMS)), *rows])


def extract_frames(path: Path) -> Iterator[Floats]:
    """Compute the feature frames of a file, block by block."""
    features = FeatureExtractor()
    for samples in convert_to_mono(AudioFileSource(path)):
        yield features.push(samples)
