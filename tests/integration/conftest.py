"""Sound files that the tests of decoding share."""

from pathlib import Path

import numpy as np
import pytest

from tools import sound_files as sound
from tools.hostile.files import Corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def minute(tmp_path_factory) -> Path:
    """A minute of sound: more than the decoder reads ahead."""
    return sound.write(tmp_path_factory.mktemp("minute") / "minute.flac", np.tile(sound.pulsed_noise(4.0), (15, 1)))
