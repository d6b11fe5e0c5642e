"""Decorators that compile functions with numba; all kernels of the engine use them.

Kernels are compiled once per machine (cached on disk), release the GIL, and are compiled without fast-math: sums keep
the order in which they are written, so results are the same bits whatever the block size. Sums that matter for speed
are therefore written as interleaved partial sums, which the compiler joins into vector instructions
(superword-level parallelism, SLP, which numba leaves off by default).

What keeps compilation, and so the first start, short: a kernel that allocates nothing needs no reference counting,
which is half of the code; a part that only kernels call needs no Python wrapper. In kernels loops are written out:
assigning one slice to another, or sorting, compiles more code than a whole kernel. A literal argument (0, not a
variable) makes numba compile a copy of the part for that number alone.

State of a kernel is a NamedTuple of arrays, whose comments give dtype and shape; the arrays are allocated by the class
that owns the kernel. (The feature kernel has records instead: see `features/kernel_memory.py`.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numba
from numba import config, njit
from numba.core import event

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy"}
_NO_ALLOCATION: Final[dict[str, Any]] = {"_nrt": False}
_NO_PYTHON_ENTRY: Final[dict[str, Any]] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_PACKAGE: Final = __name__.partition(".")[0]
_PACKAGE_PARENT: Final = Path(__file__).parents[2]
_IMPORT: Final = re.compile(r"^from (streamseg[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)

# Versions of numba, from the first to before the second, for which `_extend_cache` is written.
_SUPPORTED_CACHE_VERSIONS: Final = ((0, 60), (0, 69))
CACHE_IS_SUPPORTED: Final[bool] = (
    _SUPPORTED_CACHE_VERSIONS[0] <= tuple(map(int, numba.__version__.split(".")[:2])) < _SUPPORTED_CACHE_VERSIONS[1]
)
_UNREADABLE_CACHE_ERRORS = (ImportError, AttributeError, EOFError, UnpicklingError, ValueError, TypeError, LookupError)


def kernel(function: Callable[..., Any]) -> Any:
    """Decorator: numba compiles the function when Python code first calls it; fails if the function allocates memory.

    The error is raised at that first call.
    """
    return _compile_with_cache(function, _NO_ALLOCATION)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """Decorator: numba compiles the function when Python code first calls it; the function may allocate memory."""
    return _compile_with_cache(function, {})


def subkernel(function: Callable[..., Any]) -> Any:
    """Decorator: numba compiles the function for calls from kernels only; a call from Python code crashes the process.

    Compilation fails if the function allocates memory.
    """
    return njit(function, **_OPTIONS, **_NO_ALLOCATION, **_NO_PYTHON_ENTRY)


class _SlpForKernels(event.Listener):
    """Switches SLP on while numba compiles a kernel of ours, and back: the host program's setting stays.

    numba (from 0.61 on) reads the setting at each compilation, and only one thread compiles at a time.
    """

    def __init__(self) -> None:
        self._host_settings: list[Any] = []  # a kernel's compilation contains that of its parts

    def on_start(self, compilation: Any) -> None:
        if _is_ours(compilation):
            self._host_settings.append(config.SLP_VECTORIZE)  # type: ignore[attr-defined]
            config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]

    def on_end(self, compilation: Any) -> None:
        if _is_ours(compilation):
            config.SLP_VECTORIZE = self._host_settings.pop()  # type: ignore[attr-defined]


def _is_ours(compilation: Any) -> bool:
    module: str = compilation.data["dispatcher"].py_func.__module__
    return module.partition(".")[0] == _PACKAGE


class _FirstCompilation(event.Listener):
    """Calls a function when the first compilation of a kernel of ours begins."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._functions = [function]

    def on_start(self, compilation: Any) -> None:
        if _is_ours(compilation) and self._functions:
            self._functions.pop()()

    def on_end(self, compilation: Any) -> None:
        pass


_slp_for_kernels = _SlpForKernels()
event.register("numba:compile", _slp_for_kernels)  # type: ignore[no-untyped-call]


def is_compiling() -> bool:
    """Return whether a kernel is being compiled, by any thread; compiled code that is loaded does not count."""
    return bool(_slp_for_kernels._host_settings)


def call_at_first_compilation(function: Callable[[], None]) -> Any:
    """In the `with` block, call `function` when the first compilation of a kernel begins, in the thread that compiles.

    Compiled code that is loaded from the cache does not count.
    """
    return event.install_listener("numba:compile", _FirstCompilation(function))


def _compile_with_cache(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return the dispatcher of a kernel whose compiled code is cached on disk.

    The cache lies beside the file, or in the user's cache directory where that is read-only (numba's own rule;
    NUMBA_CACHE_DIR names another place). Where neither can be written, every process compiles for itself.
    """
    try:
        dispatcher = njit(function, cache=True, **_OPTIONS, **options)
    except RuntimeError:  # numba found no place for the cache
        return njit(function, **_OPTIONS, **options)
    if CACHE_IS_SUPPORTED and hasattr(dispatcher, "_cache"):
        _extend_cache(dispatcher._cache, Path(function.__code__.co_filename))
    return dispatcher


def _extend_cache(code_cache: Any, file: Path) -> None:
    """Make a kernel's cache depend on all files that it imports, and survive unreadable entries.

    numba compares only the kernel's own file, by its time, to decide whether cached code is still valid. We add a
    hash of the content of that file and of all of ours that it imports: a copy of the package keeps its compiled
    kernels, and a change to an imported file compiles anew. And numba unpickles the entries of an older release
    before it compares anything, which fails where they name classes that no longer exist: they count as absent.

    This uses `_index_key`, `_load_index` and `_load_data`, which are private to numba: for a version outside
    `_SUPPORTED_CACHE_VERSIONS` numba's own rules hold.
    """
    index_key, digest = code_cache._index_key, _hash_sources(file)
    code_cache._index_key = lambda *key: (*index_key(*key), digest)
    files = code_cache._cache_file
    files._load_index = partial(_load_index_or_empty, files._load_index)
    files._load_data = partial(_load_code_or_missing, files._load_data)


def _load_index_or_empty(load: Callable[[], dict[Any, str]]) -> dict[Any, str]:
    """Return the index of the cached code; an empty one where it cannot be read."""
    try:
        return load()
    except _UNREADABLE_CACHE_ERRORS:
        return {}


def _load_code_or_missing(load: Callable[[str], Any], name: str) -> Any:
    """Return cached code. Raises FileNotFoundError where it cannot be read, upon which numba compiles it again."""
    try:
        return load(name)
    except _UNREADABLE_CACHE_ERRORS as error:
        raise FileNotFoundError(name) from error


@cache
def _hash_sources(file: Path) -> str:
    """Return a hash of the content of a file and of all files of ours that it imports, directly or not."""
    sources: set[Path] = set()
    pending = [file, Path(__file__)]
    while pending:
        path = pending.pop()
        if path not in sources and path.is_file():
            sources.add(path)
            text = path.read_text(encoding="utf-8")
            pending += [each for module, names in _IMPORT.findall(text) for each in _possible_paths(module, names)]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _possible_paths(module: str, names: str) -> list[Path]:
    """Return where the file of a module would be, and the files of those imported names that are modules too."""
    folder = _PACKAGE_PARENT.joinpath(*module.split("."))
    return [
        folder.with_suffix(".py"),
        folder / "__init__.py",
        *(folder / f"{name}.py" for name in re.findall(r"\w+", names)),
    ]


@kernel
def _empty_kernel() -> None:
    """Do nothing: shows whether there is a place for the cache."""


# Whether compiled kernels are cached for the next start.
CACHE_IS_WRITABLE: Final[bool] = hasattr(getattr(_empty_kernel, "_cache", None), "_index_key")
