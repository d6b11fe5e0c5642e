"""The front end: computes rows of loudness, feature frames and texture vectors from the samples of a source."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Samples
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.features.resampling import Resampler
from streamseg.engine.features.texture import TextureExtractor

Floats: TypeAlias = NDArray[np.float64]


class FramesUpToTextureVector(NamedTuple):
    """Feature frames, and the texture vector (summary of the last second) that ends with the last frame, or None.

    frames: shape (n, COLUMNS_TOTAL), n > 0. vector: shape (VECTOR_DIMS,), or None when none ends with the last frame.
    """

    frames: Floats
    vector: Floats | None


class FrontEnd:
    """Computes loudness, feature frames and texture vectors from a source's samples; make a new one after each gap.

    The results are the same bits for any sizes of the pushes.
    """

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the source, Hz."""
        self._sample_rate = sample_rate
        self._loudness: LoudnessMeter | None = None  # made by the first samples, which tell the number of channels
        self._resampler = Resampler(sample_rate)
        self._features = FeatureExtractor()
        self._texture = TextureExtractor()

    def measure_loudness(self, samples: Samples) -> Floats:
        """Measure loudness and signal defects of the next samples; return a row for each 100 ms that is now complete.

        samples: shape (n, channels), at the source's rate. Returns shape (rows, len(LOUDNESS_COLUMNS)).
        """
        if self._loudness is None:
            self._loudness = LoudnessMeter(self._sample_rate, samples.shape[1])
        return self._loudness.push(samples)

    def push(self, samples: Samples) -> list[FramesUpToTextureVector]:
        """Process the next samples; return the feature frames and texture vectors that can now be computed.

        samples: shape (n, channels), at the source's rate. Returns the frames in order of time, cut after each frame
        with which a texture vector ends.
        """
        return self._describe(self._resampler.push(samples))

    def flush(self) -> list[FramesUpToTextureVector]:
        """Return the feature frames and texture vectors of the last samples, as `push` does; call once, at the end."""
        return self._describe(self._resampler.flush())

    def _describe(self, mono: Samples) -> list[FramesUpToTextureVector]:
        frames = self._features.push(mono)
        spans: list[FramesUpToTextureVector] = []
        begin = 0
        for last, vector in self._texture.push(frames):
            spans.append(FramesUpToTextureVector(frames[begin : last + 1], vector))
            begin = last + 1
        if begin < len(frames):
            spans.append(FramesUpToTextureVector(frames[begin:], None))
        return spans
