"""Start-up time of the command: `python -m tools.benchmarks.start`.

Cold: all kernels are compiled, as in the first run after the installation. Warm: from the start of the process to its
first event, and to its end after two seconds of sound. A cache of its own is used and removed. CPU time is printed
beside wall-clock time, since they differ on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from tools.command import command


def measure_analysis(path: Path, cache: str) -> tuple[float, float, float]:
    """Analyse a file; returns the seconds to the first event, to the end, and of CPU."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    env = os.environ | {"NUMBA_CACHE_DIR": cache}
    with subprocess.Popen(command("analyze", path), env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        assert run.stdout.readline()
        first = time.perf_counter() - began
        run.stdout.read()
    assert run.returncode == 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return first, time.perf_counter() - began, cpu


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 22_050, 0, "NONE", ""))
            file.writeframes(np.random.default_rng(0).integers(-3_000, 3_000, 44_100).astype("<i2").tobytes())
        _, cold, cpu = measure_analysis(path, folder)
        print(f"cold, compiling everything    {cold:5.1f} s to the end, {cpu:5.1f} s of CPU   asked 20 s", flush=True)
        first, warm, cpu = map(statistics.median, zip(*(measure_analysis(path, folder) for _ in range(5)), strict=True))
    print(f"warm, two seconds of sound    {warm:5.1f} s to the end, {cpu:5.1f} s of CPU")
    print(f"warm, to the first event      {first:5.1f} s   asked 2 s to the first frame")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
