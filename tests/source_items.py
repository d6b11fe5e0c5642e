"""What sources give, for the tests of several of them."""

import numpy as np

from streamseg.blocks import Block
from tools import sound_files as sound


def samples_of(items):
    return np.concatenate([item.samples for item in items if isinstance(item, Block)])


def scene(seconds=1.0, rate=8000):
    return Block(sound.pulsed_noise(seconds, rate), rate)
