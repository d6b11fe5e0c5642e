"""How long it takes to start: `cd tests && python -m benchmarks.start`.

Cold: everything is compiled, as in the first run after installing. Warm: from the process's start to the last event
of two seconds of sound. A cache of its own is used, and removed. The progress line stands on a terminal only.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from command import run


def analysed(path: Path, cache: str) -> float:
    began = time.perf_counter()
    done = run("analyze", path, env=os.environ | {"NUMBA_CACHE_DIR": cache})
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 22_050, 0, "NONE", ""))
            file.writeframes(np.random.default_rng(0).integers(-3_000, 3_000, 44_100).astype("<i2").tobytes())
        cold = analysed(path, folder)
        warm = statistics.median(analysed(path, folder) for _ in range(5))
    print(f"cold start, compiling everything   {cold:5.1f} s   asked 20 s")
    print(f"warm start, two seconds of sound   {warm:5.1f} s   asked 2 s to the first frame")


if __name__ == "__main__":
    main()
