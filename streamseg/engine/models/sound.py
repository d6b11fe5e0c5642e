"""The network that hears speech and music; its card is `sound.md` beside it."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Network(NamedTuple):
    """Trained numbers. With S numbers a block and H, K hidden units: shapes (S,), (S,), (S, H), (H,), …"""

    mean: Floats
    deviation: Floats
    w1: Floats
    b1: Floats
    w2: Floats  # (H x (CONTEXT + 2), K): the oldest block first, then the running means
    b2: Floats
    w3: Floats  # (K, 2): speech, music
    b3: Floats


def _load() -> Network:
    packed = files(__package__).joinpath("sound.npz").read_bytes()
    with np.load(BytesIO(packed)) as arrays:
        return Network(*(np.ascontiguousarray(arrays[name], np.float64) for name in Network._fields))


NETWORK = _load()
