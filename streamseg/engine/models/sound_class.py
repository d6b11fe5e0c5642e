"""The network that hears speech and music; its card is `sound.md` beside it."""

from __future__ import annotations

from importlib.resources import files
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class SpeechMusicWeights(NamedTuple):
    """Trained numbers. With S numbers a block and H, K hidden units: shapes (S,), (S,), (S, H), (H,), …"""

    mean: Floats
    std: Floats
    w1: Floats
    b1: Floats
    w2: Floats  # (H x (CONTEXT + 2), K): the oldest block first, then the running means
    b2: Floats
    w3: Floats  # (K, 2): speech, music
    b3: Floats


_STORED_AS = {"std": "deviation"}  # the file is older than the name


def _load_weights() -> SpeechMusicWeights:
    packed = files(__package__).joinpath("sound_class.npz").read_bytes()
    with np.load(BytesIO(packed)) as arrays:
        return SpeechMusicWeights(
            *(
                np.ascontiguousarray(arrays[_STORED_AS.get(name, name)], np.float64)
                for name in SpeechMusicWeights._fields
            )
        )


SPEECH_MUSIC_WEIGHTS = _load_weights()
