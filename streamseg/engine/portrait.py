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

from streamseg.engine.kernel import kernel
from streamseg.engine.models.texture import DEVIATION, MEAN
from streamseg.engine.texture import HARMONY, STANDARDISED_DIMS, VECTOR_DIMS
from streamseg.memory import pack, unpack

Floats = NDArray[np.float64]

BLOCKS = 48
BLOCK_STEPS = 4  # texture vectors averaged into one block
PROGRESSION_STEPS = 96
_CHROMA_MIDDLE = 0.29  # of a chroma band, over all music
_SCALE, _SHIFT = DEVIATION[HARMONY], MEAN[HARMONY] - _CHROMA_MIDDLE  # from standardised to chroma about its middle


@kernel
def _extend(
    vectors: Floats,
    count: int,
    kept: int,
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
        if count % BLOCK_STEPS:
            continue
        number = count // BLOCK_STEPS - 1
        if number % stride == 0 and kept == len(blocks):  # make room by leaving out every second
            kept, stride = kept // 2, 2 * stride
            for k in range(1, kept):
                for d in range(block.size):
                    blocks[k, d] = blocks[2 * k, d]
        if number % stride == 0:
            for d in range(block.size):
                blocks[kept, d] = block[d] / BLOCK_STEPS
            kept += 1
        for d in range(block.size):
            block[d] = 0.0
    return count, kept, stride


@dataclass(slots=True, eq=False)
class Portrait:
    """Texture vectors in, in order; everything else is read.

    total, squares: shape (VECTOR_DIMS,), sums over all vectors. blocks: (BLOCKS, STANDARDISED_DIMS), the first `kept`
    are means over `BLOCK_STEPS` vectors, every `stride`-th of them. progression: (PROGRESSION_STEPS, 12), the harmony
    of the first vectors, each of length 1. votes: what a clusterer of vectors took them for.
    """

    count: int = 0
    total: Floats = field(default_factory=lambda: np.zeros(VECTOR_DIMS))
    squares: Floats = field(default_factory=lambda: np.zeros(VECTOR_DIMS))
    blocks: Floats = field(default_factory=lambda: np.zeros((BLOCKS, STANDARDISED_DIMS)))
    kept: int = 0
    stride: int = 1
    progression: Floats = field(default_factory=lambda: np.zeros((PROGRESSION_STEPS, 12)))
    block: Floats = field(default_factory=lambda: np.zeros(STANDARDISED_DIMS))  # the one being summed
    votes: dict[int, int] = field(default_factory=dict)

    def push(self, vectors: Floats, identities: Iterable[int | None] = ()) -> None:
        """Take the next texture vectors, shape (n, VECTOR_DIMS), and what a clusterer of vectors takes each for."""
        for identity in identities:
            if identity is not None:
                self.votes[identity] = self.votes.get(identity, 0) + 1
        self.count, self.kept, self.stride = _extend(
            vectors,
            self.count,
            self.kept,
            self.stride,
            self.total,
            self.squares,
            self.blocks,
            self.progression,
            self.block,
            int(HARMONY[0]),
            _SCALE,
            _SHIFT,
        )

    def copy(self) -> Portrait:
        """One that goes on by itself."""
        return Portrait(
            self.count,
            self.total.copy(),
            self.squares.copy(),
            self.blocks.copy(),
            self.kept,
            self.stride,
            self.progression.copy(),
            self.block.copy(),
            dict(self.votes),
        )

    @property
    def mean(self) -> Floats:
        """Over all vectors, shape (VECTOR_DIMS,)."""
        return self.total / max(self.count, 1)

    @property
    def deviation(self) -> Floats:
        """Over all vectors, shape (VECTOR_DIMS,)."""
        spread: Floats = np.sqrt(np.maximum(self.squares / max(self.count, 1) - self.mean**2, 0.0))
        return spread

    @property
    def steps(self) -> int:
        """How much of the progression there is."""
        return min(self.count, PROGRESSION_STEPS)

    def packed(self) -> bytes:
        """For the store; the last, unfinished block and the votes are left out."""
        return pack(
            count=np.array(self.count),
            mean=self.mean.astype(np.float32),
            deviation=self.deviation.astype(np.float32),
            blocks=self.blocks[: self.kept].astype(np.float16),
            progression=self.progression[: self.steps].astype(np.float16),
        )


def restored(
    count: int, mean: NDArray[Any], deviation: NDArray[Any], blocks: NDArray[Any], progression: NDArray[Any]
) -> Portrait:
    """A portrait from what is known of it. Raises ValueError when that is not one."""
    portrait = Portrait(count=count, kept=len(blocks))
    shapes = (mean.shape, deviation.shape, blocks.shape[1:], progression.shape[1:])
    if (
        shapes != ((VECTOR_DIMS,), (VECTOR_DIMS,), (STANDARDISED_DIMS,), (12,))
        or count < 1
        or len(blocks) > BLOCKS
        or len(progression) != portrait.steps
        or not all(np.isfinite(array).all() for array in (mean, deviation, blocks, progression))
    ):
        raise ValueError("no portrait of a section")
    portrait.total[:] = count * mean.astype(np.float64)
    portrait.squares[:] = count * (deviation.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2)
    portrait.blocks[: len(blocks)], portrait.progression[: len(progression)] = blocks, progression
    return portrait


def unpacked(content: bytes) -> Portrait:
    """What `Portrait.packed` packed. Raises ValueError when it is something else."""
    try:
        arrays = unpack(content)
        return restored(
            int(arrays["count"]), arrays["mean"], arrays["deviation"], arrays["blocks"], arrays["progression"]
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"no portrait of a section: {error}") from None
