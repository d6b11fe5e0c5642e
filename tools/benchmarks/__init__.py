"""How fast it is: ratios measured beside one another in one run. Nothing here is asserted; speed is the machine's."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):  # before anybody imports numpy
    os.environ.setdefault(name, "1")
