"""What the kernels ask of numba, and what they leave alone."""

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numba
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from streamseg.engine import kernels

SLP = """
import sys
import numpy as np
import numba
from numba import config, njit
from numba.core import event

config.SLP_VECTORIZE = int(sys.argv[1])
seen = {}

class Record(event.Listener):
    def on_start(self, one):
        seen[one.data["dispatcher"].py_func.__name__] = config.SLP_VECTORIZE
    def on_end(self, one):
        pass

from streamseg.engine.features.loudness.signal_defects import find_repetition_lag
from streamseg.engine.features.texture import compute_mean_and_std

event.register("numba:compile", Record())

@njit
def host(x):
    compute_mean_and_std(x, x[0], x[1])
    return x.sum()

@njit
def broken(x):
    return x.nothing

x = np.ones((3, 4))
host(x)
try:
    broken(x)
except numba.TypingError:
    pass
find_repetition_lag(np.ones(90, np.float32), 5, 3, np.zeros(6, np.int32))
ours = [seen[name] for name in ("compute_mean_and_std", "find_repetition_lag")]
print(ours, seen["host"], seen["broken"], config.SLP_VECTORIZE)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
@pytest.mark.parametrize("setting", [0, 1])
def test_the_host_keeps_its_setting_of_the_vectoriser(setting, tmp_path):
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", SLP, str(setting)], env=env, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"[1, 1] {setting} {setting} {setting}"


def test_we_know_the_cache_of_every_numba_that_may_be_installed():
    """Outside these versions the cache would not see a change in a file that a kernel's file imports."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (need,) = (each for each in map(Requirement, project["dependencies"]) if each.name == "numba")
    oldest, end = ((Version(f"{major}.{minor}")) for major, minor in kernels._SUPPORTED_CACHE_VERSIONS)
    assert kernels.CACHE_IS_SUPPORTED, f"numba {numba.__version__}: look at streamseg/engine/kernels.py (_extend_cache)"
    assert Version(importlib.metadata.version("numba")) in need.specifier
    for bound in need.specifier:
        assert bound.operator in (">=", "<")
        assert oldest <= Version(bound.version) <= end
