"""Trained numbers as the engine is handed them; the shipped ones lie in `streamseg/engine/models`."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamseg.destinations import write_whole
from streamseg.errors import AskedWrongly
from streamseg.settings import Profile

AS_JUDGED = np.array([[1.0, 0.0], [1.0, 0.0]])  # of `ChangeModel.spoken`: what is said is what the judge thinks


class Weights:
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
        content = BytesIO()  # at once, since an archive that fails half-way cannot be closed
        np.savez_compressed(content, **arrays)
        with write_whole(path, replace=replace) as file:
            file.write(content.getbuffer())


@dataclass(frozen=True, eq=False)
class ChangeModel(Weights):
    """What judges changes: a projection, the kinds of sound, boosted trees, and when to be sure.

    projection: (texture dims, k), vectors of one section lie close together in it.
    classes: (texture + level dims, c), directions that tell kinds of sound apart.
    ages: texture vectors after which a candidate is judged, rising.
    first, feature, threshold, left, right, value: the trees, as `engine.evidence.trees` reads them.
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
    near: NDArray[np.int64]
    gap: NDArray[np.int64]
    policies: NDArray[np.float64]
    spoken: NDArray[np.float64] = field(default_factory=lambda: AS_JUDGED.copy())
    spacing: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class LabelModel(Weights):
    """What tells whether two sections are the same.

    projection: (standardised dims, k). words: (w, k), a code book of what there is. mean, deviation, weights: of the
    numbers of a comparison, and what each counts. bias: log-odds where all are mean. edge: vectors at the beginning
    of a section that may still belong to what was before, and are not looked at. stay: weight of a section like the
    one before, when a detector cut one in two. shared: whether the more labels there are, the less likely is each.
    """

    projection: NDArray[np.float64]
    words: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    edge: NDArray[np.int64]
    stay: NDArray[np.float64] = field(default_factory=lambda: np.array(0.5))
    shared: NDArray[np.bool_] = field(default_factory=lambda: np.array(True))


Kind = TypeVar("Kind", bound=Weights)


def read_model(content: bytes, name: str) -> ChangeModel:
    """Read what `ChangeModel.save` wrote. Raises AskedWrongly when it is something else."""
    return _read(ChangeModel, content, name)


def read_label_model(content: bytes, name: str) -> LabelModel:
    """Read what `LabelModel.save` wrote. Raises AskedWrongly when it is something else."""
    return _read(LabelModel, content, name)


def _read(kind: type[Kind], content: bytes, name: str) -> Kind:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            wanted = [
                part.name
                for part in fields(kind)  # type: ignore[arg-type]
                if part.name in arrays or part.default_factory is MISSING  # a model made before there was such a part
            ]
            return kind(**{name: arrays[name] for name in wanted})
    except (ValueError, OSError, KeyError, EOFError) as error:
        raise AskedWrongly(f"{name} is not a model of streamseg ({error}); make one with `streamseg tune`") from None


# Which shipped model a profile judges by.
SHIPPED: dict[Profile, str] = {"music": "songs", "dj": "mixes", "broadcast": "programmes", "room": "programmes"}


@cache
def shipped_model(profile: Profile) -> ChangeModel:
    """The model that comes with the program, for one profile."""
    name = f"{SHIPPED[profile]}.npz"
    return read_model(files("streamseg.engine.models").joinpath(name).read_bytes(), name)


@cache
def shipped_label_model(profile: Profile) -> LabelModel:
    """What tells whether two sections are the same, for one profile."""
    name = f"{'same_section' if profile == 'music' else 'same_track'}.npz"
    return read_label_model(files("streamseg.engine.models").joinpath(name).read_bytes(), name)
