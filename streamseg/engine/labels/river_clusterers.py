"""One interface to the clusterers of river, with cluster numbers that keep their meaning.

What the clusterers do not do themselves is done here, for all of them:

- vectors with NaN or infinity are not passed on (one NaN stays in the centres of KMeans and STREAMKMeans for ever);
- a clusterer is made after `INITIAL_VECTORS` vectors; until then the cluster is None, not 0;
- a vector far from every centre is noise;
- river renumbers, splits and merges its clusters. So the clusters here are tracked centres: after each update, every
  centre of river is matched with the nearest tracked centre, and starts a new cluster when none is near.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river import base, cluster

Floats = NDArray[np.float64]

NOISE_CLUSTER: Final = -1
INITIAL_VECTORS: Final = 32
_MAX_TRACKED_CENTRES: Final = 64  # the least recently matched is forgotten
_CENTRE_RATE: Final = 0.02  # step of a tracked centre towards the centre matched with it
_N_CLUSTERS: Final = 12


def _make_kmeans(first: Floats, radius: float) -> base.Clusterer:
    """Make KMeans. Seeds: the first vector, then always the vector farthest from the seeds so far (Gonzalez 1985)."""
    del radius
    model = cluster.KMeans(n_clusters=_N_CLUSTERS, halflife=0.05, seed=1)
    seeds = [first[0]]
    while len(seeds) < _N_CLUSTERS:
        seeds.append(first[np.argmax(np.min([((first - seed) ** 2).sum(axis=1) for seed in seeds], axis=0))])
    for number, seed in enumerate(seeds):
        model.centers[number].update(_as_features(seed))
    return model


def _make_stream_kmeans(first: Floats, radius: float) -> base.Clusterer:
    del radius
    return cluster.STREAMKMeans(  # type: ignore[no-untyped-call]
        chunk_size=INITIAL_VECTORS,
        n_clusters=_N_CLUSTERS,
        halflife=0.5,
        mu=float(first.mean()),
        sigma=float(first.std()),
        seed=1,
    )


def _make_dbstream(first: Floats, radius: float) -> base.Clusterer:
    """Make DBSTREAM. The fading factor is .01: at .001 micro-clusters accumulate, and updates take ever longer."""
    return cluster.DBSTREAM(
        clustering_threshold=radius * np.sqrt(first.shape[1]),
        fading_factor=0.01,
        cleanup_interval=8,
        intersection_factor=0.3,
        minimum_weight=1.0,
    )


def _make_denstream(first: Floats, radius: float) -> base.Clusterer:
    return cluster.DenStream(
        decaying_factor=0.01, beta=0.5, mu=2.5, epsilon=radius * np.sqrt(first.shape[1]), n_samples_init=INITIAL_VECTORS
    )


def _make_clustream(first: Floats, radius: float) -> base.Clusterer:
    del first, radius
    return cluster.CluStream(
        n_macro_clusters=_N_CLUSTERS, max_micro_clusters=40, time_window=1000, time_gap=20, seed=1, halflife=0.4
    )


# Each makes a clusterer, given the first vectors, shape (INITIAL_VECTORS, d), and the radius (RMS) of a cluster.
CLUSTERER_FACTORIES: Final[dict[str, Callable[[Floats, float], base.Clusterer]]] = {
    "kmeans": _make_kmeans,
    "streamkmeans": _make_stream_kmeans,
    "dbstream": _make_dbstream,
    "denstream": _make_denstream,
    "clustream": _make_clustream,
}


class StableClusterer:
    """Assigns vectors to clusters with a clusterer of the package river; each cluster keeps its number."""

    def __init__(self, name: str, radius: float) -> None:
        """name: a key of CLUSTERER_FACTORIES. radius: RMS distance within which centres are the same cluster."""
        self._name = name
        self._radius = radius
        self._initial_vectors: list[Floats] = []
        self._model: Any = None
        self._tracked_centres: dict[int, Floats] = {}  # by cluster, in the order of the last match
        self._centres: dict[int, Floats] = {}  # by river's present number
        self._cluster_ids: dict[int, int] = {}  # river's present number: cluster
        self._clusters_created = 0

    def push(self, vector: Floats) -> int | None:
        """Learn from a vector, shape (d,); return its cluster number, NOISE_CLUSTER for noise, None without clusters.

        A vector that is not finite is ignored, and None is returned. Noise: see `cluster_of`.
        """
        if not np.isfinite(vector).all():
            return None
        if self._model is None:
            self._initial_vectors.append(vector)
            if len(self._initial_vectors) < INITIAL_VECTORS:
                return None
            self._create_model()
        else:
            self._model.learn_one(_as_features(vector))
        self._match_centres()
        return self.cluster_of(vector)

    def cluster_of(self, vector: Floats) -> int | None:
        """Return the cluster number of a vector, shape (d,), without learning from it; NOISE_CLUSTER for noise.

        Returns None while there are no clusters, and when the vector is not finite. Noise is farther than two radii
        from every centre.
        """
        if not self._centres or not np.isfinite(vector).all():
            return None
        numbers = list(self._centres)
        distances = np.sqrt(((np.array(list(self._centres.values())) - vector) ** 2).mean(axis=1))
        nearest = int(np.argmin(distances))
        return self._cluster_ids[numbers[nearest]] if distances[nearest] <= 2 * self._radius else NOISE_CLUSTER

    def _create_model(self) -> None:
        first = np.array(self._initial_vectors)
        self._model = CLUSTERER_FACTORIES[self._name](first, self._radius)
        for vector in first:
            self._model.learn_one(_as_features(vector))
        self._initial_vectors = []

    def _match_centres(self) -> None:
        """Match river's centres with the tracked centres.

        Several centres near one tracked centre are one cluster: a cluster that river splits stays one until its parts
        have moved apart.
        """
        self._centres = self._read_centres()
        self._cluster_ids = {}
        for number, centre in self._centres.items():
            cluster_id = self._nearest_tracked(centre)
            if cluster_id is None:
                cluster_id, self._clusters_created = self._clusters_created, self._clusters_created + 1
                self._tracked_centres[cluster_id] = centre
            else:
                tracked_centre = self._tracked_centres.pop(cluster_id)
                self._tracked_centres[cluster_id] = tracked_centre + _CENTRE_RATE * (centre - tracked_centre)
            self._cluster_ids[number] = cluster_id
        while len(self._tracked_centres) > _MAX_TRACKED_CENTRES:
            del self._tracked_centres[next(iter(self._tracked_centres))]

    def _nearest_tracked(self, centre: Floats) -> int | None:
        """The cluster whose tracked centre is nearest; None when none is within the radius."""
        if not self._tracked_centres:
            return None
        clusters = list(self._tracked_centres)
        distances = np.sqrt(((np.array(list(self._tracked_centres.values())) - centre) ** 2).mean(axis=1))
        nearest = int(np.argmin(distances))
        return clusters[nearest] if distances[nearest] <= self._radius else None

    def _read_centres(self) -> dict[int, Floats]:
        """River's centres by number; empty and non-finite ones are left out."""
        if self._name == "denstream":  # updates its clusters in predict_one only
            self._model.predict_one(self._any_micro_cluster())
        vectors = {int(number): _as_vector(centre) for number, centre in self._model.centers.items()}
        return {number: vector for number, vector in vectors.items() if len(vector) and np.isfinite(vector).all()}

    def _any_micro_cluster(self) -> dict[int, float]:
        clusters = self._model.p_micro_clusters
        return dict(next(iter(clusters.values())).center) if clusters else {}


def _as_features(vector: Floats) -> dict[int, float]:
    return dict(enumerate(vector.tolist()))


def _as_vector(features: Mapping[int, float]) -> Floats:
    return np.array([features[key] for key in sorted(features)], dtype=np.float64)
