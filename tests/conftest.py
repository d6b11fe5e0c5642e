"""Sound that several test files listen to; and it makes the folders beside it importable from every test."""

from pathlib import Path

import pytest
import soundfile

from streamseg.sources.programme import SAMPLE_RATE, render


@pytest.fixture(scope="session")
def programme(tmp_path_factory) -> Path:
    """The demo's programme as a file."""
    path = tmp_path_factory.mktemp("sound") / "programme.wav"
    soundfile.write(path, render(), SAMPLE_RATE, subtype="FLOAT")
    return path
