"""Boosted trees, read from flat arrays (Friedman 2001; trained elsewhere)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.engine.kernel import kernel


@kernel
def boosted(
    inputs: NDArray[np.float64],
    first: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    value: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Sum of the leaves that each row of inputs, shape (rows, features), falls into; written to out, shape (rows,).

    first: each tree's root. A child below 0 is the leaf `-1 - child`. Rows go left where input <= threshold.
    """
    for row in range(inputs.shape[0]):
        total = 0.0
        for tree in range(first.shape[0]):
            node = first[tree]
            while node >= 0:
                node = left[node] if np.float32(inputs[row, feature[node]]) <= threshold[node] else right[node]
            total += value[-1 - node]
        out[row] = total
