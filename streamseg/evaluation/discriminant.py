"""Fits linear discriminant directions to texture vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import empirical_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

Floats = NDArray[np.float64]

_RIDGE = 0.05  # added to the variances within groups


class RidgeCovariance:
    """A covariance estimator for scikit-learn: the empirical covariance with 0.05 added to the diagonal."""

    def fit(self, vectors: Floats) -> RidgeCovariance:
        """Compute the covariance of vectors (n, d), add 0.05 to its diagonal, and store it as `covariance_` (d, d)."""
        self.covariance_: Floats = empirical_covariance(vectors) + _RIDGE * np.eye(vectors.shape[1])
        return self


def fit_discriminant(vectors: Floats, groups: NDArray[np.int64], dims: int) -> Floats:
    """Fit the directions that separate groups of vectors best (Fisher 1936), scaled to unit variance within groups.

    Parameters
    ----------
    vectors
        Shape (n, d).
    groups
        Shape (n,), the group of each vector, 0 and up. A group of one vector is left out.
    dims
        Number of directions.

    Returns
    -------
    NDArray
        Shape (d, dims), the direction that separates best first.
    """
    several = np.bincount(groups)[groups] > 1
    discriminant = LinearDiscriminantAnalysis(solver="eigen", covariance_estimator=RidgeCovariance())
    directions: Floats = discriminant.fit(vectors[several], groups[several]).scalings_[:, :dims]
    return directions
