"""A stream that plays beside hostile files, and the memory of the process."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import wave
from pathlib import Path

import numpy as np

from streamseg.blocks import Block
from streamseg.sources import AudioFileSource, PacedSource

SETTLED = 250  # files after which growth is counted


class Witness(threading.Thread):
    """Another stream of this process, in real time through the ring: every sample must be that of the file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="witness", daemon=True)
        self.path = folder / "witness.wav"
        self.expected = np.random.default_rng(3).integers(-9000, 9000, (20 * 48_000, 2)).astype("<i2")
        with wave.open(str(self.path), "wb") as file:
            file.setparams((2, 2, 48_000, 0, "NONE", ""))
            file.writeframes(self.expected.tobytes())
        self.heard = self.lost = self.wrong = 0
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            source = PacedSource(AudioFileSource(self.path), "witness")
            at = 0
            for item in source:
                if isinstance(item, Block):
                    expected = self.expected[at : at + len(item.samples)].astype(np.float32) / 32768
                    self.wrong += int((item.samples != expected).any(axis=1).sum())
                    at += len(item.samples)
                if self.ending.is_set():
                    source.close()
            self.heard += at
            self.lost += source.dropped_samples + (0 if self.ending.is_set() else len(self.expected) - at)


def resident_mb() -> float:
    """Return the resident memory, MB, after malloc has released what it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with Path("/proc/self/smaps_rollup").open() as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty"))) / 1024


class Peak:
    """The growth of this process since it had settled."""

    def __init__(self) -> None:
        self.now_mb = self.first_mb = 0.0
        self.growth_mb = 0.0

    def look(self, done: int) -> None:
        if done < SETTLED or done % 50:
            return
        self.now_mb = resident_mb()
        self.first_mb = self.first_mb or self.now_mb
        self.growth_mb = max(self.growth_mb, self.now_mb - self.first_mb)
