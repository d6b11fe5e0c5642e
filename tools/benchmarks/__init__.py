"""Benchmarks: ratios measured side by side in one run. Nothing is asserted, since speed depends on the machine."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):  # before anybody imports numpy
    os.environ.setdefault(name, "1")
