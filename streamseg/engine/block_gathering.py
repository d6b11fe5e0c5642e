"""What was pushed becomes blocks; tiny blocks are gathered until a walk through all stages is worth it.

A walk costs 20 µs or more, however few samples it takes along. With one sample a push at 48 kHz, 20 µs is as long as
the sound itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Samples
from streamseg.errors import UsageError

BLOCKS_PER_SECOND: Final = 200  # so that events come 5 ms later at most
_FLOAT32: Final = np.dtype(np.float32)


def as_block(samples: Samples | NDArray[np.floating]) -> Samples:
    """The samples as float32, shape (n, channels), the same memory where possible.

    Raises AskedWrongly when they are not of shape (n,) or (n, channels).
    """
    block = np.asarray(samples, dtype=np.float32)
    if block.ndim == 1:
        block = block[:, None]
    if block.ndim != 2 or block.shape[1] == 0:
        raise UsageError(f"samples of shape {np.shape(samples)}; give (n,) or (n, channels)")
    return block


class BlockGathering:
    """Copies of blocks shorter than `tiny` samples, one after the other. Pickles."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the samples to come, Hz."""
        self.is_tiny = sample_rate // BLOCKS_PER_SECOND
        self.waiting_samples = bytearray()  # float32, the channels of a sample side by side
        self._channels = 1
        self._shape: tuple[int, ...] | None = None  # of the array that was added last, as it was pushed
        self._buffer = 0  # another array of this shape leaves less than `tiny` samples while there are fewer bytes

    def __len__(self) -> int:
        """Samples gathered, per channel."""
        return len(self.waiting_samples) // (_FLOAT32.itemsize * self._channels)

    def add_like_last(self, samples: Samples | NDArray[np.floating]) -> bool:
        """Take an array that needs no check: another one of the shape that was added last.

        False, and nothing is taken, for any other array, and when `tiny` samples would be gathered with it.
        """
        if (
            type(samples) is np.ndarray
            and samples.shape == self._shape
            and samples.dtype is _FLOAT32
            and len(self.waiting_samples) < self._buffer
        ):
            self.waiting_samples += samples.tobytes()
            return True
        return False

    def add_samples(self, block: Samples, shape: tuple[int, ...]) -> bool:
        """Take a block, shape (n, channels), n < `tiny`; True when `tiny` or more samples are gathered.

        shape: of the array that it was made of. The number of channels stays the same until `take_all`.
        """
        self._shape, self._channels = shape, block.shape[1]
        full = _FLOAT32.itemsize * self._channels * self.is_tiny
        self._buffer = full - block.nbytes
        self.waiting_samples += block.tobytes()
        return len(self.waiting_samples) >= full

    def take_all(self) -> Samples:
        """Give what was gathered, shape (n, channels), and keep nothing of it."""
        gathered, self.waiting_samples = self.waiting_samples, bytearray()
        return np.frombuffer(gathered, np.float32).reshape(-1, self._channels)

    def close(self) -> None:
        """Let `add_alike` take nothing more."""
        self._shape = None
