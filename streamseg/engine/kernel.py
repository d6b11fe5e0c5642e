"""The decorators every kernel carries.

Compiled once per machine (cache), without the GIL, and without fast-math: sums keep the order they are written
in, so results are the same bits whatever the block size. Sums that matter for speed are therefore written as
interleaved partial sums, which the compiler joins into vector instructions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

# Off by default in numba; it is what joins the partial sums into vectors.
config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

kernel = njit(cache=True, nogil=True, error_model="numpy")


def kernel_of(file: str) -> Callable[[Callable[..., Any]], Any]:
    """The decorator for kernels that call kernels, or use constants, of other files in the folder of `file`.

    numba looks at a kernel's own file only when it asks whether the compiled form still holds. Without this, a change
    to one file would leave its old code at work inside the others. `_index_key` is numba's own; should it go, numba's
    rule is back.
    """
    stats = [(path.name, path.stat()) for path in sorted(Path(file).parent.glob("*.py"))]
    stamp = hashlib.sha256(repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]).encode()).hexdigest()

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = kernel(function)
        cache: Any = getattr(dispatcher, "_cache", None)
        if hasattr(cache, "_index_key"):
            plain = cache._index_key
            cache._index_key = lambda *key: (*plain(*key), stamp)
        return dispatcher

    return decorate
