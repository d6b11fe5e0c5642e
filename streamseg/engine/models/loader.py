"""Loads the weights that are shipped with the program: the npz files of this folder."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from numpy.typing import NDArray

from streamseg.engine.models.weights import BoundaryModel, LabelModel, read_boundary_model, read_label_model
from streamseg.engine.packed_arrays import unpack_arrays
from streamseg.settings import Profile

# The shipped boundary model of each profile.
SHIPPED_BOUNDARY_MODELS: dict[Profile, str] = {
    "music": "songs",
    "dj": "mixes",
    "broadcast": "programmes",
    "room": "programmes",
}


def load_shipped_arrays(name: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of the shipped file `name`.npz; return them by name. Each call returns new arrays."""
    return unpack_arrays(_read_file(f"{name}.npz"))


@cache
def load_boundary_model(profile: Profile) -> BoundaryModel:
    """Return the boundary model that is shipped for a profile; its file is read at the first call only."""
    name = f"boundaries_{SHIPPED_BOUNDARY_MODELS[profile]}.npz"
    return read_boundary_model(_read_file(name), name)


@cache
def load_label_model(profile: Profile) -> LabelModel:
    """Return the label model that is shipped for a profile; its file is read at the first call only."""
    name = f"labels_{'sections' if profile == 'music' else 'tracks'}.npz"
    return read_label_model(_read_file(name), name)


def _read_file(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
