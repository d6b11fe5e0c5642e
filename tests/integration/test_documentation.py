"""The examples in docstrings (doctests) and the Python blocks of the pages in docs/ run."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {path.name: re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) for path in ROOT.glob("docs/*.md")}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "streamseg").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_give_what_they_show(module):
    tried = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_there_are_examples_to_run():
    assert MODULES
    assert any(PAGES.values())


@pytest.mark.parametrize("page", [name for name, blocks in PAGES.items() if blocks])
def test_the_python_blocks_of_a_page_run(page, programme, tmp_path):
    """One after the other, in a folder with the files that pages speak of."""
    for name in ("song.flac", "night.mp3"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", programme, tmp_path / name], check=True, timeout=60)
    program = "\n".join(PAGES[page])
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
