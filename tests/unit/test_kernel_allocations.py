"""The kernels that hear every sample allocate nothing: a push asks numba for no memory."""

import os
import subprocess
import sys

import pytest

COUNT = """
import numpy as np
from numba import njit
from numba.core.runtime import rtsys
from streamseg.engine.features import FeatureExtractor
from streamseg.engine.features.loudness.meter import LoudnessMeter
from streamseg.engine.features.resampling import Resampler

sound = 0.1 * np.random.default_rng(0).standard_normal((96_000, 2)).astype(np.float32)

def allocated(ask, given):
    before = rtsys.get_allocation_stats().mi_alloc
    ask(given)
    return rtsys.get_allocation_stats().mi_alloc - before

copied = njit(lambda x: x.copy())
copied(sound)  # from now on there is something to count with
print(allocated(copied, sound))
for make, whole in (
    (FeatureExtractor, sound[: 64 * 512, 0].copy()),
    (lambda: Resampler(48_000), sound),
    (lambda: LoudnessMeter(48_000, 2), sound),
):
    stage = make()
    stage.push(whole)
    print(allocated(stage.push, whole))
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_push_allocates_nothing():
    env = os.environ | {"NUMBA_NRT_STATS": "1"}
    run = subprocess.run([sys.executable, "-c", COUNT], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    copied, *pushes = map(int, run.stdout.split())
    assert copied > 0  # so it is counted
    assert pushes == [0, 0, 0]
