"""Trained numbers as the engine is handed them; the shipped ones lie in `streamseg/engine/models`."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamseg.destinations import write_atomically
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays
from streamseg.errors import UsageError

IDENTITY_CALIBRATION = np.array(
    [[1.0, 0.0], [1.0, 0.0]]
)  # of `BoundaryModel.calibration`: what is said is what the judge thinks


class TrainedArrays:
    """Trained arrays with a name each."""

    @property
    def hash(self) -> str:
        """Twelve hex digits that differ when any number differs."""
        digest = hashlib.sha256()
        for part in fields(self):  # type: ignore[arg-type]  # all kinds are dataclasses
            digest.update(getattr(self, part.name).tobytes())
        return digest.hexdigest()[:12]

    def save(self, path: Path, *, replace: bool = True) -> None:
        """Write it under this very name, where `read_model` finds it; the file appears whole.

        replace: an older file gives way. Raises OutputFailed, AskedWrongly.
        """
        arrays = {part.name: getattr(self, part.name) for part in fields(self)}  # type: ignore[arg-type]
        with write_atomically(path, replace=replace) as file:
            file.write(pack_arrays(**arrays))


@dataclass(frozen=True, eq=False)
class BoundaryModel(TrainedArrays):
    """What judges changes: a projection, the kinds of sound, boosted trees, and when to be sure.

    projection: (texture dims, k), vectors of one section lie close together in it.
    classes: (texture + level dims, c), directions that tell kinds of sound apart.
    ages: texture vectors after which a candidate is judged, rising.
    first, feature, threshold, left, right, value: the trees, as `engine.boundaries.trees` reads them.
    glance_trees: how many of them judge at first glance. gate: the log odds below which these dismiss a candidate.
    prior: share of non-changes that training kept; takes the odds back to those of real sound.
    near, gap: vectors within which a candidate must be the best, and between two changes.
    policies: rows of (look-ahead in seconds, threshold at the oldest age, rise towards the youngest, youngest age).
    spoken: how log-odds become the stability, and the confidence, that is said: two rows of (slope, shift). The judge
    asks whether the sound changed just there; a listener, whether it changed within seconds.
    spacing: (weight, usual distance in seconds) of changes: a candidate nearer to the last change than is usual needs
    (usual / distance) ** weight times the odds. Empty: the distance does not count.
    """

    projection: NDArray[np.float64]
    classes: NDArray[np.float64]
    ages: NDArray[np.int64]
    first: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    glance_trees: NDArray[np.int64]
    gate: NDArray[np.float64]
    prior: NDArray[np.float64]
    neighbourhood: NDArray[np.int64]
    min_distance: NDArray[np.int64]
    policies: NDArray[np.float64]
    calibration: NDArray[np.float64] = field(default_factory=lambda: IDENTITY_CALIBRATION.copy())
    spacing: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class LabelModel(TrainedArrays):
    """What tells whether two sections are the same.

    projection: (standardised dims, k). words: (w, k), a code book of what there is. mean, deviation, weights: of the
    numbers of a comparison, and what each counts. bias: log-odds where all are mean. edge: vectors at the beginning
    of a section that may still belong to what was before, and are not looked at. stay: weight of a section like the
    one before, when a detector cut one in two. shared: whether the more labels there are, the less likely is each.
    """

    projection: NDArray[np.float64]
    codebook: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    edge: NDArray[np.int64]
    self_transition: NDArray[np.float64] = field(default_factory=lambda: np.array(0.5))
    shares_return_prior: NDArray[np.bool_] = field(default_factory=lambda: np.array(True))


# Names of fields in files of older versions.
_RENAMED_FIELDS = {
    "spoken": "calibration",
    "near": "neighbourhood",
    "gap": "min_distance",
    "words": "codebook",
    "deviation": "std",
    "stay": "self_transition",
    "shared": "shares_return_prior",
}

ModelKind = TypeVar("ModelKind", bound=TrainedArrays)


def read_boundary_model(content: bytes, name: str) -> BoundaryModel:
    """Read what `BoundaryModel.save` wrote. Raises AskedWrongly when it is something else."""
    return _read_arrays(BoundaryModel, content, name)


def read_label_model(content: bytes, name: str) -> LabelModel:
    """Read what `LabelModel.save` wrote. Raises AskedWrongly when it is something else."""
    return _read_arrays(LabelModel, content, name)


def _read_arrays(kind: type[ModelKind], content: bytes, name: str) -> ModelKind:
    try:
        stored = {_RENAMED_FIELDS.get(key, key): array for key, array in unpack_arrays(content).items()}
        required = [part.name for part in fields(kind) if part.default_factory is MISSING]  # type: ignore[arg-type]
        optional = [part.name for part in fields(kind) if part.name in stored]  # type: ignore[arg-type]
        return kind(**{field_name: stored[field_name] for field_name in (*required, *optional)})
    except (ValueError, KeyError) as error:
        raise UsageError(f"{name} is not a model of streamseg ({error}); make one with `streamseg tune`") from None
