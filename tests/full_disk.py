"""A disk that is full, for the tests of what is written."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own, soon full. Root on Linux must be able to mount it; for others the test is skipped."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], capture_output=True)
    if done.returncode:
        if sys.platform == "linux" and os.geteuid() == 0:
            pytest.fail(f"root cannot mount a tmpfs: {done.stderr.decode(errors='replace')}")
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler
