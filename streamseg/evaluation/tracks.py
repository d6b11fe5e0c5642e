"""Computes the texture vectors of annotated tracks by the code of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.mono import resample_to_mono
from streamseg.engine.features.texture import VECTOR_DIMS, TextureExtractor
from streamseg.engine.timeline import step_to_time_without_gaps, time_after_steps
from streamseg.evaluation.annotations import AnnotatedFile, LabelledSpan
from streamseg.sources import AudioFileSource

__all__ = ["TrackTexture", "extract_feature_frames", "extract_texture", "step_to_time_without_gaps", "time_after_steps"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrackTexture:
    """An annotated sound file with its texture vectors, one each half second.

    vectors: shape (n, VECTOR_DIMS). source: name of what the track was made from; tracks of one source are never on
    both sides of a fold.
    """

    truth: AnnotatedFile
    vectors: Floats
    source: str

    def list_segments(self) -> tuple[LabelledSpan, ...]:
        """List the labelled segments; of a mix that has none annotated, the parts between its transitions."""
        truth = self.truth
        if truth.segments or truth.kind != "transitions":
            return truth.segments
        starts = (0.0, *(transition.end for transition in truth.spans))
        ends = (*(transition.start for transition in truth.spans), time_after_steps(len(self.vectors)))
        return tuple(
            LabelledSpan(start, end, f"{truth.audio.stem} {number}")
            for number, (start, end) in enumerate(zip(starts, ends), 1)
            if start < end
        )


def extract_texture(path: Path) -> Floats:
    """Compute the texture vectors of a sound file, one each half second; return shape (n, VECTOR_DIMS)."""
    texture = TextureExtractor()
    rows = [vector[None] for frames in extract_feature_frames(path) for _, vector in texture.push(frames)]
    return np.concatenate([np.zeros((0, VECTOR_DIMS)), *rows])


def extract_feature_frames(path: Path) -> Iterator[Floats]:
    """Compute the features of a sound file; yield those of each block, one row per frame, shape (n, COLUMNS_TOTAL)."""
    features = FeatureExtractor()
    for samples in resample_to_mono(AudioFileSource(path)):
        yield features.push(samples)
