"""The decorators every kernel carries.

Compiled once per machine (cache), without the GIL, and without fast-math: sums keep the order they are written
in, so results are the same bits whatever the block size. Sums that matter for speed are therefore written as
interleaved partial sums, which the compiler joins into vector instructions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit

# Off by default in numba; it is what joins the partial sums into vectors.
config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def kernel(function: Callable[..., Any]) -> Any:
    """The decorator for kernels that look at nothing outside their own file.

    The compiled form is kept beside the file, or in the user's cache directory where that is read-only (numba's
    own rule; NUMBA_CACHE_DIR names another place). Where neither can be written, every process compiles for itself.
    """
    try:
        return njit(function, cache=True, **_OPTIONS)
    except RuntimeError:  # numba found no place for it
        return njit(function, **_OPTIONS)


@kernel
def _nothing() -> None:
    """The smallest kernel: tells whether there is a place to keep them."""


# Whether compiled kernels are still there at the next start.
KEPT: bool = hasattr(getattr(_nothing, "_cache", None), "_index_key")


def kernel_of(file: str) -> Callable[[Callable[..., Any]], Any]:
    """The decorator for kernels that call kernels, or use constants, of other files in the folder of `file`.

    numba looks at a kernel's own file only when it asks whether the compiled form still holds. Without this, a change
    to one file would leave its old code at work inside the others. What the files say counts, not when they were
    written: a copy of the package keeps its compiled kernels, a new one with old times does not. `_index_key` is
    numba's own; should it go, numba's rule is back.
    """
    stamp = _stamp(Path(file).parent)

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = kernel(function)
        if KEPT:
            plain = dispatcher._cache._index_key
            dispatcher._cache._index_key = lambda *key: (*plain(*key), stamp)
        return dispatcher

    return decorate


@cache
def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*.py")), Path(__file__).parents[1] / "settings.py"]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
