"""The one loader of the shipped models."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from streamseg.engine.models.weights import BoundaryModel, LabelModel, read_boundary_model, read_label_model
from streamseg.settings import Profile

# Which shipped model a profile judges by.
SHIPPED_BOUNDARY_MODELS: dict[Profile, str] = {
    "music": "songs",
    "dj": "mixes",
    "broadcast": "programmes",
    "room": "programmes",
}


@cache
def load_boundary_model(profile: Profile) -> BoundaryModel:
    """The model that comes with the program, for one profile."""
    name = f"boundaries_{SHIPPED_BOUNDARY_MODELS[profile]}.npz"
    return read_boundary_model(files("streamseg.engine.models").joinpath(name).read_bytes(), name)


@cache
def load_label_model(profile: Profile) -> LabelModel:
    """What tells whether two sections are the same, for one profile."""
    name = f"labels_{'sections' if profile == 'music' else 'tracks'}.npz"
    return read_label_model(files("streamseg.engine.models").joinpath(name).read_bytes(), name)
