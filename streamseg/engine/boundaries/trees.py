"""Boosted trees, read from flat arrays (Friedman 2001; trained elsewhere)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel


class BoostedTrees(NamedTuple):
    """Trees one after the other. A child below 0 is the leaf `-1 - child`."""

    first: NDArray[np.int32]  # each tree's root
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]


@subkernel
def sum_leaves(inputs: NDArray[np.float64], trees: BoostedTrees, begin: int, end: int) -> float:
    """Sum of the leaves that inputs, shape (features,), falls into in the trees from begin to end.

    Goes left where input <= threshold.
    """
    total = 0.0
    for tree in range(begin, end):
        node = trees.first[tree]
        while node >= 0:
            node = trees.left[node] if inputs[trees.feature[node]] <= trees.threshold[node] else trees.right[node]
        total += trees.value[-1 - node]
    return total
