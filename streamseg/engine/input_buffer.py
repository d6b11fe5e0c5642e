"""Checks pushed arrays, joins tiny ones and cuts huge ones, so that all blocks have an efficient size.

One pass through all stages costs 20 µs or more, however few samples it processes. With one sample a push at 48 kHz,
20 µs is as long as the sound itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamseg.blocks import Samples
from streamseg.errors import UsageError

_BLOCKS_PER_SECOND: Final = 200  # so that events come 5 ms later at most
_MAX_BLOCK_SAMPLES: Final = 65_536  # so that one huge array needs no huge memory
_FLOAT32: Final = np.dtype(np.float32)


class InputBuffer:
    """Joins or cuts pushed arrays into blocks of at least 5 ms and at most 65,536 samples. Can be pickled."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: of the source, Hz."""
        self._min_samples = sample_rate // _BLOCKS_PER_SECOND
        self.channels = 0  # 0 until the first sample
        self.is_closed = False
        self._content = bytearray()  # float32, the channels of a sample side by side
        self._last_shape: tuple[int, ...] | None = None  # of the array that was added last, as it was pushed
        self._room = 0  # with fewer bytes than this, another array of that shape does not complete a block

    def __len__(self) -> int:
        """Return the number of samples in the buffer, per channel."""
        return len(self._content) // (_FLOAT32.itemsize * self.channels) if self._content else 0

    def add_if_same_shape(self, samples: Samples | NDArray[np.floating]) -> bool:
        """Add a float32 array if it has the shape of the array added last and completes no block; return whether added.

        If False, nothing was added: the caller then calls `push`.
        """
        if (
            type(samples) is np.ndarray
            and samples.shape == self._last_shape
            and samples.dtype is _FLOAT32
            and len(self._content) < self._room
        ):
            self._content += samples.tobytes()
            return True
        return False

    def push(self, samples: Samples | NDArray[np.floating]) -> list[Samples]:
        """Add an array; return the blocks that are now ready to process, in order, as float32 of shape (n, channels).

        samples: shape (n,) or (n, channels). Arrays shorter than 5 ms are copied; their block is returned with the
        array that completes 5 ms, or before the next longer array. Blocks are views of `samples` where possible.
        Raises UsageError when the shape is neither (n,) nor (n, channels), when the number of channels changed, or
        after `close`.
        """
        if self.is_closed:
            raise UsageError("this segmenter has finished; make a new one for more sound")
        block = np.asarray(samples, dtype=np.float32)
        if block.ndim == 1:
            block = block[:, None]
        if block.ndim != 2 or block.shape[1] == 0:
            raise UsageError(f"samples of shape {np.shape(samples)}; give (n,) or (n, channels)")
        if not len(block):
            return []
        channels = block.shape[1]
        if self.channels not in (0, channels):
            raise UsageError(f"blocks of {channels} channels after blocks of {self.channels}; start a new stream")
        self.channels = channels
        if len(block) < self._min_samples:
            self._last_shape = np.shape(samples)
            capacity = _FLOAT32.itemsize * channels * self._min_samples
            self._room = capacity - block.nbytes
            self._content += block.tobytes()
            return self.take_all() if len(self._content) >= capacity else []
        if len(block) <= _MAX_BLOCK_SAMPLES:
            return [*self.take_all(), block]
        parts = [block[start : start + _MAX_BLOCK_SAMPLES] for start in range(0, len(block), _MAX_BLOCK_SAMPLES)]
        return [*self.take_all(), *parts]

    def take_all(self) -> list[Samples]:
        """Remove and return the content of the buffer: a list of one block, or an empty list if there is none."""
        if not self._content:
            return []
        content, self._content = self._content, bytearray()
        return [np.frombuffer(content, np.float32).reshape(-1, self.channels)]

    def close(self) -> None:
        """Make every later `push` raise UsageError."""
        self._last_shape, self.is_closed = None, True
