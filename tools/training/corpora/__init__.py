"""Sound made for training and measuring, with a truth that is exact because it was decided first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from streamseg.blocks import Block
from streamseg.engine.features.resampling import Resampler
from streamseg.settings import ENGINE_RATE
from streamseg.sources import AudioFileSource

SAMPLE_RATE = ENGINE_RATE


def decode_file(path: Path) -> NDArray[np.float32]:
    """A file as the engine hears it: mono, at `RATE`."""
    resampler: Resampler | None = None
    parts = []
    for item in AudioFileSource(str(path)):
        if isinstance(item, Block):
            resampler = resampler or Resampler(item.sample_rate)
            parts.append(resampler.push(item.samples))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def write_vorbis(path: Path, samples: NDArray[np.float32]) -> None:
    """Write mono samples as Ogg Vorbis, piece by piece: libsndfile overruns its stack with minutes at once."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), SAMPLE_RATE):
            file.write(samples[start : start + SAMPLE_RATE])
