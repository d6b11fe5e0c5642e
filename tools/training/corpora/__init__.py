"""Generators of sound for training and evaluation, whose annotation is exact because it is made before the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from streamseg.engine.features.mono import resample_to_mono
from streamseg.settings import ENGINE_RATE
from streamseg.sources import AudioFileSource

SAMPLE_RATE = ENGINE_RATE


def decode_file(path: Path) -> NDArray[np.float32]:
    """Decode a whole file to mono at SAMPLE_RATE, shape (n,)."""
    return np.concatenate([np.zeros(0, np.float32), *resample_to_mono(AudioFileSource(path))])


def write_vorbis(path: Path, samples: NDArray[np.float32]) -> None:
    """Write mono samples, shape (n,), as Ogg Vorbis, in pieces: libsndfile overruns its stack on long writes."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(samples), SAMPLE_RATE):
            file.write(samples[start : start + SAMPLE_RATE])
