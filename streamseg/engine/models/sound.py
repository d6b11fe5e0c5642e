"""The network that hears speech and music; its card is `sound.md` beside it."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO

import numpy as np
from numpy.typing import NDArray


def _load() -> dict[str, NDArray[np.float64]]:
    packed = files(__package__).joinpath("sound.npz").read_bytes()
    with np.load(BytesIO(packed)) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays}


NETWORK = _load()
