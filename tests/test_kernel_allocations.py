"""Kernels allocate nothing per frame: a push of twice the sound asks numba for no more memory than a push of half."""

import os
import subprocess
import sys

import pytest

COUNT = """
import numpy as np
from numba.core.runtime import rtsys
from streamseg.engine.features import Features
from streamseg.engine.loudness import Loudness
from streamseg.engine.resampling import Resampler

sound = 0.1 * np.random.default_rng(0).standard_normal((96_000, 2)).astype(np.float32)

def allocated(stage, samples):
    before = rtsys.get_allocation_stats().mi_alloc
    stage.push(samples)
    return rtsys.get_allocation_stats().mi_alloc - before

for make, whole in (
    (Features, sound[: 64 * 512, 0].copy()),
    (lambda: Resampler(48_000), sound),
    (lambda: Loudness(48_000, 2), sound),
):
    stage = make()
    stage.push(whole)
    once, twice = allocated(stage, whole[: len(whole) // 2]), allocated(stage, whole)
    print(twice - once, once)
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_twice_the_frames_cost_no_allocation_more():
    env = os.environ | {"NUMBA_NRT_STATS": "1"}
    run = subprocess.run([sys.executable, "-c", COUNT], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    counts = [tuple(map(int, line.split())) for line in run.stdout.splitlines()]
    assert len(counts) == 3
    assert all(once > 0 for _, once in counts)  # the arrays handed over: so something was counted
    assert [more for more, _ in counts] == [0, 0, 0]
