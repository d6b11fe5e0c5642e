"""river's clusterers behind one seam: texture in, identities out that keep their meaning.

What the clusterers do not do themselves is done around them, for all alike:

- a vector that is not all numbers never reaches them (one NaN poisons KMeans and STREAMKMeans for ever);
- they begin when there is something to begin with; until then the answer is None, not cluster 0;
- what lies far from every centre is NOISE;
- clusters are renumbered, split and merged as river pleases; an identity is a place. After each update every
  centre is taken for the place it has come to, and one that has left all of them is something new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river import base, cluster

Floats = NDArray[np.float64]

NOISE_CLUSTER: Final = -1
INITIAL_VECTORS: Final = 32  # vectors heard before a clusterer begins
_MAX_CENTRES: Final = 64  # remembered; the least recently used is forgotten
_CENTRE_RATE: Final = 0.02  # how far a place moves towards the centre that stands for it
_CLUSTERS: Final = 12


def _kmeans(first: Floats, reach: float) -> base.Clusterer:
    """Seeded from data: the first of them, then each the farthest from those before (Gonzalez 1985)."""
    del reach
    model = cluster.KMeans(n_clusters=_CLUSTERS, halflife=0.05, seed=1)
    seeds = [first[0]]
    while len(seeds) < _CLUSTERS:
        seeds.append(first[np.argmax(np.min([((first - seed) ** 2).sum(axis=1) for seed in seeds], axis=0))])
    for number, seed in enumerate(seeds):
        model.centers[number].update(_as_features(seed))
    return model


def _stream_kmeans(first: Floats, reach: float) -> base.Clusterer:
    del reach
    return cluster.STREAMKMeans(  # type: ignore[no-untyped-call]
        chunk_size=INITIAL_VECTORS,
        n_clusters=_CLUSTERS,
        halflife=0.5,
        mu=float(first.mean()),
        sigma=float(first.std()),
        seed=1,
    )


def _dbstream(first: Floats, reach: float) -> base.Clusterer:
    """A fading factor of .01: at .001 the micro-clusters pile up and each update takes longer than the last."""
    return cluster.DBSTREAM(
        clustering_threshold=reach * np.sqrt(first.shape[1]),
        fading_factor=0.01,
        cleanup_interval=8,
        intersection_factor=0.3,
        minimum_weight=1.0,
    )


def _denstream(first: Floats, reach: float) -> base.Clusterer:
    return cluster.DenStream(
        decaying_factor=0.01, beta=0.5, mu=2.5, epsilon=reach * np.sqrt(first.shape[1]), n_samples_init=INITIAL_VECTORS
    )


def _clustream(first: Floats, reach: float) -> base.Clusterer:
    del first, reach
    return cluster.CluStream(
        n_macro_clusters=_CLUSTERS, max_micro_clusters=40, time_window=1000, time_gap=20, seed=1, halflife=0.4
    )


# How each is made, from the first vectors and from how far apart vectors of one kind may lie (RMS over dimensions).
CLUSTERER_FACTORIES: Final[dict[str, Callable[[Floats, float], base.Clusterer]]] = {
    "kmeans": _kmeans,
    "streamkmeans": _stream_kmeans,
    "dbstream": _dbstream,
    "denstream": _denstream,
    "clustream": _clustream,
}


class StableClusters:
    """Vectors in, numbers of identities out; None before there are any, NOISE for what is like nothing."""

    def __init__(self, name: str, reach: float) -> None:
        """name: one of MAKERS. reach: RMS distance within which a vector belongs to a centre."""
        self._name = name
        self._reach = reach
        self._initial_vectors: list[Floats] = []
        self._model: Any = None
        self._tracked_centres: dict[int, Floats] = {}  # identity: where it is; the order is the order of use
        self._cluster_ids: dict[int, int] = {}  # what each of the clusterer's numbers means now
        self._centres: dict[int, Floats] = {}
        self._clusters_created = 0

    def push(self, vector: Floats) -> int | None:
        """Learn from a vector, shape (d,), and say what it is."""
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
        """What a vector is, without learning from it."""
        if not self._centres or not np.isfinite(vector).all():
            return None
        numbers = list(self._centres)
        distances = np.sqrt(((np.array([self._centres[n] for n in numbers]) - vector) ** 2).mean(axis=1))
        nearest = int(np.argmin(distances))
        return self._cluster_ids[numbers[nearest]] if distances[nearest] <= 2 * self._reach else NOISE_CLUSTER

    def _create_model(self) -> None:
        first = np.array(self._initial_vectors)
        self._model = CLUSTERER_FACTORIES[self._name](first, self._reach)
        for vector in first:
            self._model.learn_one(_as_features(vector))
        self._initial_vectors = []

    def _match_centres(self) -> None:
        """Give the clusterer's present numbers the identities whose places they have taken.

        Several centres in one place are one identity: a cluster that splits is not two things yet. A centre that has
        left every place founds a new one.
        """
        self._centres = self._read_centres()
        self._cluster_ids = {}
        for number, centre in self._centres.items():
            identities = list(self._tracked_centres)
            if identities:
                far = np.sqrt(((np.array(list(self._tracked_centres.values())) - centre) ** 2).mean(axis=1))
                nearest = int(np.argmin(far))
            if identities and far[nearest] <= self._reach:
                identity = identities[nearest]
                place = self._tracked_centres.pop(identity)
                self._tracked_centres[identity] = place + _CENTRE_RATE * (centre - place)
            else:
                identity, self._clusters_created = self._clusters_created, self._clusters_created + 1
                self._tracked_centres[identity] = centre
            self._cluster_ids[number] = identity
        while len(self._tracked_centres) > _MAX_CENTRES:
            del self._tracked_centres[next(iter(self._tracked_centres))]

    def _read_centres(self) -> dict[int, Floats]:
        """The clusterer's centres; those that are no place (yet) are left out."""
        if self._name == "denstream":  # it looks for its clusters when it is asked, and not before
            self._model.predict_one(self._any_micro_cluster())
        found: dict[int, Floats] = {}
        for number, centre in self._model.centers.items():
            place = _vector(centre)
            if len(place) and np.isfinite(place).all():
                found[int(number)] = place
        return found

    def _any_micro_cluster(self) -> dict[int, float]:
        clusters = self._model.p_micro_clusters
        return dict(next(iter(clusters.values())).center) if clusters else {}


def _as_features(vector: Floats) -> dict[int, float]:
    return dict(enumerate(vector.tolist()))


def _vector(centre: Mapping[int, float]) -> Floats:
    return np.array([centre[key] for key in sorted(centre)], dtype=np.float64)
