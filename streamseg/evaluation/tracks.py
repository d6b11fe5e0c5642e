"""Annotated tracks with the texture vectors that the engine computes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.mono import convert_to_mono
from streamseg.engine.features.texture import HOP_FRAMES, SPAN_FRAMES, VECTOR_DIMS, TextureExtractor
from streamseg.evaluation.annotations import AnnotatedFile
from streamseg.settings import ENGINE_RATE, FRAME, HOP
from streamseg.sources import AudioFileSource

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


def step_to_time(step: int | NDArray[np.int64]) -> Floats:
    """Stream seconds of a change before texture vector `step`."""
    last_frame = SPAN_FRAMES - 1 + np.asarray(step) * HOP_FRAMES
    frame = last_frame + 1 - (SPAN_FRAMES + HOP_FRAMES) // 2
    seconds: Floats = (frame * HOP + (FRAME - HOP) / 2) / ENGINE_RATE
    return seconds


def step_end_time(step: int) -> float:
    """Stream seconds at which the texture vector before `step` is complete."""
    return float(((SPAN_FRAMES - 1 + (step - 1) * HOP_FRAMES) * HOP + FRAME) / ENGINE_RATE)
