"""Boundary model and label model: the trained weights of the engine, in memory and as files."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamseg.atomic_files import write_atomically
from streamseg.engine.packed_arrays import pack_arrays, unpack_arrays
from streamseg.errors import UsageError

IDENTITY_CALIBRATION = np.array([[1.0, 0.0], [1.0, 0.0]])  # of `BoundaryModel.calibration`: log-odds stay as they are


class TrainedArrays:
    """Base class of the trained models, each a dataclass of arrays: computes its hash and saves it to a file."""

    @property
    def hash(self) -> str:
        """Twelve hex digits of a hash of all arrays, which identify the model."""
        digest = hashlib.sha256()
        for part in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            digest.update(getattr(self, part.name).tobytes())
        return digest.hexdigest()[:12]

    def save(self, path: Path, *, replace: bool = True) -> None:
        """Write the model to the npz file `path`; raise UsageError if the file exists and `replace` is False.

        `read_boundary_model` and `read_label_model` read its content. The file appears only when it is
        complete. Raises OutputError if it cannot be written.
        """
        arrays = {part.name: getattr(self, part.name) for part in fields(self)}  # type: ignore[arg-type]
        with write_atomically(path, replace=replace) as file:
            file.write(pack_arrays(**arrays))


@dataclass(frozen=True, eq=False)
class BoundaryModel(TrainedArrays):
    """The trained weights and thresholds by which the boundary classifier decides where the sound changes.

    projection: (TEXTURE_DIMS, k); vectors of one section lie close together in it.
    classes: (STANDARDISED_DIMS, c); directions that tell classes of sound apart.
    ages: (A,), texture vectors after which a candidate is scored, ascending.
    first, feature, threshold, left, right, value: the trees, see `engine.boundaries.trees.BoostedTrees`.
    glance_trees: how many of them score at first glance. gate: log-odds below which these reject a candidate.
    prior: share of non-changes that training kept; scales the odds to those of real sound.
    neighbourhood, min_distance: vectors within which a candidate must be the best, and between two changes.
    policies: (p, 4), rows of (look-ahead in seconds, threshold at the oldest age, rise towards the youngest age,
    youngest age).
    calibration: (2, 2), rows of (slope, shift) from log-odds to the stability, and to the confidence, of events. The
    classifier scores whether the sound changed exactly there, a listener whether it changed within seconds.
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
    """The trained weights for comparing two sections: they give the log-odds that both sections have the same label.

    projection: (STANDARDISED_DIMS, k), of window means. codebook: (w, k), entries that cover all sounds.
    mean, std, weights: (N_COMPARISON_FEATURES,), standardisation and weights of the comparison features. bias: log-odds
    where all features are average. edge: vectors at the beginning of a section that may still belong to the section
    before, and are ignored. self_transition: weight of a section with the label before it, for a boundary that divides
    one section. shares_return_prior: whether each label is the less likely, the more labels there are.
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


# Field names in files of older versions, and the present ones.
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


def read_boundary_model(content: bytes, file_name: str) -> BoundaryModel:
    """Decode a boundary model from the bytes that `BoundaryModel.save` wrote; raise UsageError for other bytes.

    file_name: for the error message.
    """
    return _read_arrays(BoundaryModel, content, file_name)


def read_label_model(content: bytes, file_name: str) -> LabelModel:
    """Decode a label model from the bytes that `LabelModel.save` wrote; raise UsageError for other bytes.

    file_name: for the error message.
    """
    return _read_arrays(LabelModel, content, file_name)


def _read_arrays(kind: type[ModelKind], content: bytes, file_name: str) -> ModelKind:
    try:
        stored_arrays = {_RENAMED_FIELDS.get(key, key): array for key, array in unpack_arrays(content).items()}
        every_field = fields(kind)  # type: ignore[arg-type]
        names = [each.name for each in every_field if each.default_factory is MISSING or each.name in stored_arrays]
        return kind(**{name: stored_arrays[name] for name in names})
    except (ValueError, KeyError) as error:
        raise UsageError(f"{file_name} is not a model of streamseg ({error}); make one with `streamseg tune`") from None
