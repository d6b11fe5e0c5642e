"""A folder of files that command lines read, and may not destroy."""

import shutil
from pathlib import Path

import pytest

from tools.hostile.command_lines import make_folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("law9")
    make_folder(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "f", symlinks=True)
