"""The decorators every kernel carries.

Compiled once per machine (cache), without the GIL, and without fast-math: sums keep the order they are written
in, so results are the same bits whatever the block size. Sums that matter for speed are therefore written as
interleaved partial sums, which the compiler joins into vector instructions.

Compiling is what the first start takes long for. A kernel that allocates nothing needs no counting of references, half
of what there would be to compile; a part that only kernels call needs no way in from Python. Inside them loops are
written out: to assign one slice to another, or to sort, brings in more code than a whole kernel. And a number written
as an argument (0, not a variable) makes numba compile a copy of the part for that number alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from numba import config, njit

# Off by default in numba; it is what joins the partial sums into vectors.
config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_NO_ALLOCATION: dict[str, Any] = {"_nrt": False}
_NO_PYTHON_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_PACKAGE_PARENT = Path(__file__).parents[2]
_IMPORT = re.compile(r"^from (streamseg[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def kernel(function: Callable[..., Any]) -> Any:
    """The decorator for kernels that Python calls. One that allocates memory after all does not compile."""
    return _compile_with_cache(function, _NO_ALLOCATION)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """The decorator for kernels that allocate memory, or call some that do."""
    return _compile_with_cache(function, {})


def subkernel(function: Callable[..., Any]) -> Any:
    """The decorator for what only kernels call; it is compiled into them, and kept with them alone."""
    return njit(function, **_OPTIONS, **_NO_ALLOCATION, **_NO_PYTHON_ENTRY)


def _compile_with_cache(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The compiled form is kept beside the file, or in the user's cache directory where that is read-only (numba's
    own rule; NUMBA_CACHE_DIR names another place). Where neither can be written, every process compiles for itself.

    numba looks at a kernel's own file only when it asks whether the compiled form still holds. With a stamp, a change
    to a file it imports does not leave old code at work inside it. What the files say counts, not when they were
    written: a copy of the package keeps its compiled kernels, a new one with old times does not. And numba reads what
    an older release has kept before it asks whether that holds: where it names what is no more, nothing is kept.
    `_index_key`, `_cache_file` are numba's own; should they go, numba's rules are back.
    """
    try:
        dispatcher = njit(function, cache=True, **_OPTIONS, **options)
    except RuntimeError:  # numba found no place for it
        return njit(function, **_OPTIONS, **options)
    kept: Any = getattr(dispatcher, "_cache", None)
    if hasattr(kept, "_index_key"):
        plain, stamp = kept._index_key, _hash_sources(Path(function.__code__.co_filename))
        kept._index_key = lambda *key: (*plain(*key), stamp)
    files: Any = getattr(kept, "_cache_file", None)
    if hasattr(files, "_load_index") and hasattr(files, "_load_data"):
        files._load_index = partial(_load_index_or_empty, files._load_index)
        files._load_data = partial(_load_code_or_missing, files._load_data)
    return dispatcher


_UNREADABLE_CACHE_ERRORS = (ImportError, AttributeError, EOFError, UnpicklingError, ValueError, TypeError, LookupError)


def _load_index_or_empty(load: Callable[[], dict[Any, str]]) -> dict[Any, str]:
    """What is kept; nothing where that cannot be read."""
    try:
        return load()
    except _UNREADABLE_CACHE_ERRORS:
        return {}


def _load_code_or_missing(load: Callable[[str], Any], name: str) -> Any:
    """Compiled code; a missing file where it cannot be read, which numba compiles again."""
    try:
        return load(name)
    except _UNREADABLE_CACHE_ERRORS as error:
        raise FileNotFoundError(name) from error


@cache
def _hash_sources(file: Path) -> str:
    """Of what this file says, and all of ours that it imports."""
    seen: set[Path] = set()
    left = [file, Path(__file__)]
    while left:
        path = left.pop()
        if path not in seen and path.is_file():
            seen.add(path)
            says = path.read_text(encoding="utf-8")
            left += [each for module, names in _IMPORT.findall(says) for each in _possible_paths(module, names)]
    digest = hashlib.sha256()
    for path in sorted(seen):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _possible_paths(module: str, names: str) -> list[Path]:
    """Where a module, and those of the names that are modules too, would lie."""
    home = _PACKAGE_PARENT.joinpath(*module.split("."))
    return [home.with_suffix(".py"), home / "__init__.py", *(home / f"{name}.py" for name in re.findall(r"\w+", names))]


@kernel
def _empty_kernel() -> None:
    """The smallest kernel: tells whether there is a place to keep them."""


# Whether compiled kernels are still there at the next start.
CACHE_IS_WRITABLE: bool = hasattr(getattr(_empty_kernel, "_cache", None), "_index_key")
