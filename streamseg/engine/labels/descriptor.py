"""A portrait: what a section sounded like, in bounded room, so that it can be known again.

Three things are kept of a section, however long it is: sums over all its texture vectors; `BLOCKS` means over two
seconds each, spread evenly over it, so that parts that sound different are remembered apart; and its harmony step by
step for the first 47 seconds, so that the same progression of chords can be found again whatever plays it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, STANDARDISED_DIMS, TEXTURE_MEAN, TEXTURE_STD, VECTOR_DIMS
from streamseg.engine.kernels import kernel
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays

Floats = NDArray[np.float64]

MAX_WINDOWS = 48
WINDOW_STEPS = 4  # texture vectors averaged into one block
PROGRESSION_STEPS = 96
_CHROMA_MIDDLE = 0.29  # of a chroma band, over all music
_CHROMA_SCALE, _CHROMA_SHIFT = (
    TEXTURE_STD[HARMONY],
    TEXTURE_MEAN[HARMONY] - _CHROMA_MIDDLE,
)  # from standardised to chroma about its middle


@kernel
def _extend_descriptor(
    vectors: Floats,
    count: int,
    n_windows: int,
    stride: int,
    total: Floats,
    squares: Floats,
    blocks: Floats,
    progression: Floats,
    block: Floats,
    harmony: int,
    scale: Floats,
    shift: Floats,
) -> tuple[int, int, int]:
    """Take vectors into the arrays of a portrait; returns its count, kept and stride from now on."""
    for i in range(vectors.shape[0]):
        if count < progression.shape[0]:
            norm = 0.0
            for d in range(12):
                value = vectors[i, harmony + d] * scale[d] + shift[d]
                progression[count, d] = value
                norm += value * value
            norm = max(np.sqrt(norm), 1e-9)
            for d in range(12):
                progression[count, d] /= norm
        for d in range(total.size):
            total[d] += vectors[i, d]
            squares[d] += vectors[i, d] * vectors[i, d]
        for d in range(block.size):
            block[d] += vectors[i, d]
        count += 1
        if count % WINDOW_STEPS:
            continue
        number = count // WINDOW_STEPS - 1
        if number % stride == 0 and n_windows == len(blocks):  # make room by leaving out every second
            n_windows, stride = n_windows // 2, 2 * stride
            for k in range(1, n_windows):
                for d in range(block.size):
                    blocks[k, d] = blocks[2 * k, d]
        if number % stride == 0:
            for d in range(block.size):
                blocks[n_windows, d] = block[d] / WINDOW_STEPS
            n_windows += 1
        for d in range(block.size):
            block[d] = 0.0
    return count, n_windows, stride


@dataclass(slots=True, eq=False)
class SectionDescriptor:
    """Texture vectors in, in order; everything else is read.

    total, squares: shape (VECTOR_DIMS,), sums over all vectors. blocks: (BLOCKS, STANDARDISED_DIMS), the first `kept`
    are means over `BLOCK_STEPS` vectors, every `stride`-th of them. progression: (PROGRESSION_STEPS, 12), the harmony
    of the first vectors, each of length 1. votes: what a clusterer of vectors took them for.
    """

    count: int = 0
    total: Floats = field(default_factory=lambda: np.zeros(VECTOR_DIMS))
    squares: Floats = field(default_factory=lambda: np.zeros(VECTOR_DIMS))
    window_means: Floats = field(default_factory=lambda: np.zeros((MAX_WINDOWS, STANDARDISED_DIMS)))
    n_windows: int = 0
    stride: int = 1
    progression: Floats = field(default_factory=lambda: np.zeros((PROGRESSION_STEPS, 12)))
    window_sum: Floats = field(default_factory=lambda: np.zeros(STANDARDISED_DIMS))  # the one being summed
    cluster_votes: dict[int, int] = field(default_factory=dict)

    def push(self, vectors: Floats, identities: Iterable[int | None] = ()) -> None:
        """Take the next texture vectors, shape (n, VECTOR_DIMS), and what a clusterer of vectors takes each for."""
        for identity in identities:
            if identity is not None:
                self.cluster_votes[identity] = self.cluster_votes.get(identity, 0) + 1
        self.count, self.n_windows, self.stride = _extend_descriptor(
            vectors,
            self.count,
            self.n_windows,
            self.stride,
            self.total,
            self.squares,
            self.window_means,
            self.progression,
            self.window_sum,
            int(HARMONY[0]),
            _CHROMA_SCALE,
            _CHROMA_SHIFT,
        )

    def copy(self) -> SectionDescriptor:
        """One that goes on by itself."""
        return SectionDescriptor(
            self.count,
            self.total.copy(),
            self.squares.copy(),
            self.window_means.copy(),
            self.n_windows,
            self.stride,
            self.progression.copy(),
            self.window_sum.copy(),
            dict(self.cluster_votes),
        )

    @property
    def mean(self) -> Floats:
        """Over all vectors, shape (VECTOR_DIMS,)."""
        return self.total / max(self.count, 1)

    @property
    def std(self) -> Floats:
        """Over all vectors, shape (VECTOR_DIMS,)."""
        spread: Floats = np.sqrt(np.maximum(self.squares / max(self.count, 1) - self.mean**2, 0.0))
        return spread

    @property
    def n_progression_steps(self) -> int:
        """How much of the progression there is."""
        return min(self.count, PROGRESSION_STEPS)

    def to_bytes(self) -> bytes:
        """For the store; the last, unfinished block and the votes are left out."""
        return pack_arrays(
            count=np.array(self.count),
            mean=self.mean.astype(np.float32),
            deviation=self.std.astype(np.float32),
            blocks=self.window_means[: self.n_windows].astype(np.float16),
            progression=self.progression[: self.n_progression_steps].astype(np.float16),
        )


def restore_descriptor(
    count: int, mean: NDArray[Any], std: NDArray[Any], window_means: NDArray[Any], progression: NDArray[Any]
) -> SectionDescriptor:
    """A portrait from what is known of it. Raises ValueError when that is not one."""
    descriptor = SectionDescriptor(count=count, n_windows=len(window_means))
    shapes = (mean.shape, std.shape, window_means.shape[1:], progression.shape[1:])
    if (
        shapes != ((VECTOR_DIMS,), (VECTOR_DIMS,), (STANDARDISED_DIMS,), (12,))
        or count < 1
        or len(window_means) > MAX_WINDOWS
        or len(progression) != descriptor.n_progression_steps
        or not all(np.isfinite(array).all() for array in (mean, std, window_means, progression))
    ):
        raise ValueError("no portrait of a section")
    descriptor.total[:] = count * mean.astype(np.float64)
    descriptor.squares[:] = count * (std.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2)
    descriptor.window_means[: len(window_means)], descriptor.progression[: len(progression)] = window_means, progression
    return descriptor


def descriptor_from_bytes(content: bytes) -> SectionDescriptor:
    """What `SectionDescriptor.to_bytes` packed. Raises ValueError when it is something else."""
    try:
        arrays = unpack_arrays(content)
        return restore_descriptor(
            int(arrays["count"]), arrays["mean"], arrays["deviation"], arrays["blocks"], arrays["progression"]
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no portrait of a section: {error}") from None
