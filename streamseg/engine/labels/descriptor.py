"""Section descriptors: statistics of a section's sound, in bounded memory, by which it is recognised.

Three things are stored of a section, however long it is: sums over all its texture vectors; up to MAX_WINDOWS means
over WINDOW_STEPS vectors (two seconds) each, spread evenly over it, so that parts that sound different stay apart; and
its harmony step by step for the first 47 seconds, so that the same chord progression is recognised whatever plays it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.features.texture import HARMONY, STANDARDISED_DIMS, TEXTURE_MEAN, TEXTURE_STD, VECTOR_DIMS
from streamseg.engine.kernels import kernel
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_WINDOWS: Final = 48
WINDOW_STEPS: Final = 4  # texture vectors averaged into one window mean
PROGRESSION_STEPS: Final = 96
_HARMONY_START: Final = int(HARMONY[0])
_MEAN_CHROMA: Final = 0.29  # of a chroma band, over all music
# From standardised chroma to chroma about its mean: times the scale, plus the shift.
_CHROMA_SCALE, _CHROMA_SHIFT = TEXTURE_STD[HARMONY], TEXTURE_MEAN[HARMONY] - _MEAN_CHROMA


class DescriptorArrays(NamedTuple):
    """The arrays that hold the statistics of a section descriptor; the kernels read and write them."""

    n_vectors: Ints  # int64 (1,) texture vectors so far
    n_window_means: Ints  # int64 (1,) rows of `window_means` in use
    stride: Ints  # int64 (1,) every stride-th window is stored
    total: Floats  # float64 (VECTOR_DIMS,) sum of all vectors
    squares: Floats  # float64 (VECTOR_DIMS,) sum of their squares
    window_means: Floats  # float64 (MAX_WINDOWS, STANDARDISED_DIMS)
    chroma_progression: Floats  # float64 (PROGRESSION_STEPS, 12) centred chroma of the first vectors, of length 1
    window_sum: Floats  # float64 (STANDARDISED_DIMS,) sum of the window that is not yet complete


def _make_arrays() -> DescriptorArrays:
    return DescriptorArrays(
        n_vectors=np.zeros(1, np.int64),
        n_window_means=np.zeros(1, np.int64),
        stride=np.ones(1, np.int64),
        total=np.zeros(VECTOR_DIMS),
        squares=np.zeros(VECTOR_DIMS),
        window_means=np.zeros((MAX_WINDOWS, STANDARDISED_DIMS)),
        chroma_progression=np.zeros((PROGRESSION_STEPS, 12)),
        window_sum=np.zeros(STANDARDISED_DIMS),
    )


@kernel
def _extend_descriptor(vectors: Floats, chroma_scale: Floats, chroma_shift: Floats, arrays: DescriptorArrays) -> None:
    """Add texture vectors to the arrays of a descriptor.

    vectors: float64 (n, VECTOR_DIMS). chroma_scale, chroma_shift: float64 (12,).
    """
    n_vectors, n_windows, stride = arrays.n_vectors[0], arrays.n_window_means[0], arrays.stride[0]
    window_means, window_sum, progression = arrays.window_means, arrays.window_sum, arrays.chroma_progression
    for i in range(vectors.shape[0]):
        if n_vectors < progression.shape[0]:
            norm = 0.0
            for d in range(12):
                value = vectors[i, _HARMONY_START + d] * chroma_scale[d] + chroma_shift[d]
                progression[n_vectors, d] = value
                norm += value * value
            norm = max(np.sqrt(norm), 1e-9)
            for d in range(12):
                progression[n_vectors, d] /= norm
        for d in range(arrays.total.size):
            arrays.total[d] += vectors[i, d]
            arrays.squares[d] += vectors[i, d] * vectors[i, d]
        for d in range(window_sum.size):
            window_sum[d] += vectors[i, d]
        n_vectors += 1
        if n_vectors % WINDOW_STEPS:
            continue
        number = n_vectors // WINDOW_STEPS - 1
        if number % stride == 0 and n_windows == len(window_means):  # make room: drop every second window
            n_windows, stride = n_windows // 2, 2 * stride
            for k in range(1, n_windows):
                for d in range(window_sum.size):
                    window_means[k, d] = window_means[2 * k, d]
        if number % stride == 0:
            for d in range(window_sum.size):
                window_means[n_windows, d] = window_sum[d] / WINDOW_STEPS
            n_windows += 1
        for d in range(window_sum.size):
            window_sum[d] = 0.0
    arrays.n_vectors[0], arrays.n_window_means[0], arrays.stride[0] = n_vectors, n_windows, stride


@dataclass(slots=True, eq=False)
class SectionDescriptor:
    """Statistics of a section's texture vectors, by which the section is recognised; `push` adds the next vectors.

    cluster_votes: {cluster: number of vectors that a clusterer assigned to it}.
    """

    arrays: DescriptorArrays = field(default_factory=_make_arrays)
    cluster_votes: dict[int, int] = field(default_factory=dict)

    def push(self, vectors: Floats, clusters: Iterable[int | None] = ()) -> None:
        """Add the section's next texture vectors, float64 (n, VECTOR_DIMS), and their clusters to the statistics.

        clusters: the cluster of each vector, None for a vector without one; empty when there is no clusterer.
        """
        for cluster in clusters:
            if cluster is not None:
                self.cluster_votes[cluster] = self.cluster_votes.get(cluster, 0) + 1
        _extend_descriptor(vectors, _CHROMA_SCALE, _CHROMA_SHIFT, self.arrays)

    def copy(self) -> SectionDescriptor:
        """Return a copy that shares no arrays with this descriptor."""
        return SectionDescriptor(
            DescriptorArrays._make(array.copy() for array in self.arrays), dict(self.cluster_votes)
        )

    @property
    def n_vectors(self) -> int:
        """The number of texture vectors of the section so far."""
        return int(self.arrays.n_vectors[0])

    @property
    def mean(self) -> Floats:
        """The mean of all texture vectors of the section, float64 (VECTOR_DIMS,)."""
        return self.arrays.total / max(self.n_vectors, 1)

    @property
    def std(self) -> Floats:
        """The standard deviation of all texture vectors of the section, float64 (VECTOR_DIMS,)."""
        std: Floats = np.sqrt(np.maximum(self.arrays.squares / max(self.n_vectors, 1) - self.mean**2, 0.0))
        return std

    @property
    def n_window_means(self) -> int:
        """The number of rows of `window_means` in use, from the first on, at most MAX_WINDOWS."""
        return int(self.arrays.n_window_means[0])

    @property
    def window_means(self) -> Floats:
        """The means of texture vectors over windows of four vectors (2 s), float64 (MAX_WINDOWS, STANDARDISED_DIMS).

        Only the first `n_window_means` rows are in use.
        """
        return self.arrays.window_means

    @property
    def n_chroma_steps(self) -> int:
        """The number of rows of `chroma_progression` in use: one for each texture vector, at most PROGRESSION_STEPS."""
        return min(self.n_vectors, PROGRESSION_STEPS)

    @property
    def chroma_progression(self) -> Floats:
        """The chroma of the section's first texture vectors, one row each, float64 (PROGRESSION_STEPS, 12).

        The mean of music is subtracted, and each row has length 1. Only the first `n_chroma_steps` rows are in use.
        """
        return self.arrays.chroma_progression

    def to_bytes(self) -> bytes:
        """Encode the descriptor as bytes for the name store; `descriptor_from_bytes` decodes them.

        The incomplete window and the cluster votes are left out.
        """
        return pack_arrays(
            count=np.array(self.n_vectors),
            mean=self.mean.astype(np.float32),
            deviation=self.std.astype(np.float32),
            blocks=self.window_means[: self.n_window_means].astype(np.float16),
            progression=self.chroma_progression[: self.n_chroma_steps].astype(np.float16),
        )


def restore_descriptor(
    n_vectors: int, mean: NDArray[Any], std: NDArray[Any], window_means: NDArray[Any], chroma_progression: NDArray[Any]
) -> SectionDescriptor:
    """Make a section descriptor from the stored statistics of an earlier one; raise ValueError if they are invalid.

    n_vectors: texture vectors of the section. mean, std: (VECTOR_DIMS,). window_means: (n, STANDARDISED_DIMS), one row
    for each stored window. chroma_progression: (n_chroma_steps, 12).

    Invalid: shapes or values that no descriptor has.
    """
    shapes = (mean.shape, std.shape, window_means.shape[1:], chroma_progression.shape[1:])
    if (
        shapes != ((VECTOR_DIMS,), (VECTOR_DIMS,), (STANDARDISED_DIMS,), (12,))
        or n_vectors < 1
        or len(window_means) > MAX_WINDOWS
        or len(chroma_progression) != min(n_vectors, PROGRESSION_STEPS)
        or not all(np.isfinite(array).all() for array in (mean, std, window_means, chroma_progression))
    ):
        raise ValueError("not a section descriptor")
    arrays = _make_arrays()
    arrays.n_vectors[0], arrays.n_window_means[0] = n_vectors, len(window_means)
    arrays.total[:] = n_vectors * mean.astype(np.float64)
    arrays.squares[:] = n_vectors * (std.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2)
    arrays.window_means[: len(window_means)] = window_means
    arrays.chroma_progression[: len(chroma_progression)] = chroma_progression
    return SectionDescriptor(arrays)


def descriptor_from_bytes(content: bytes) -> SectionDescriptor:
    """Decode a section descriptor from bytes of `SectionDescriptor.to_bytes`; raise ValueError for other bytes."""
    try:
        arrays = unpack_arrays(content)
        return restore_descriptor(
            int(arrays["count"]), arrays["mean"], arrays["deviation"], arrays["blocks"], arrays["progression"]
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a section descriptor: {error}") from None
