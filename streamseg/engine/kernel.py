"""The one decorator every kernel carries.

Compiled once per machine (cache), without the GIL, and without fast-math: sums keep the order they are written
in, so results are the same bits whatever the block size. Sums that matter for speed are therefore written as
eight interleaved partial sums, which the compiler turns into vector instructions.
"""

from __future__ import annotations

from numba import config, njit

# Off by default in numba; it is what joins the partial sums into vectors.
config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

kernel = njit(cache=True, nogil=True, error_model="numpy")

INTERPRETED: bool = bool(
    getattr(config, "DISABLE_JIT", False)
)  # NUMBA_DISABLE_JIT=1: the tests read the kernels as plain Python
