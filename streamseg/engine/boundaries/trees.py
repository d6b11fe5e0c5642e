"""Evaluates boosted trees (Friedman 2001) that are stored as flat arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernels import subkernel

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]


class BoostedTrees(NamedTuple):
    """Boosted trees as flat arrays: T trees with N inner nodes and L leaves in all.

    A child below 0 is the leaf -1 - child.
    """

    first: Indices  # int32 (T,) root of each tree; below 0 for a tree that is one leaf
    feature: Indices  # int32 (N,) which input a node compares
    threshold: Floats  # float64 (N,)
    left: Indices  # int32 (N,) child where input <= threshold
    right: Indices  # int32 (N,) the other child
    value: Floats  # float64 (L,) of each leaf


@subkernel
def evaluate_trees(inputs: Floats, trees: BoostedTrees, begin: int, end: int) -> float:
    """Return the sum of the values of the leaves that the inputs reach in the trees `begin` to `end` - 1.

    inputs: float64 (features,).
    """
    total = 0.0
    for tree in range(begin, end):
        node = trees.first[tree]
        while node >= 0:
            node = trees.left[node] if inputs[trees.feature[node]] <= trees.threshold[node] else trees.right[node]
        total += trees.value[-1 - node]
    return total
