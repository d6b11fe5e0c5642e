"""Converts arrays to bytes and back, in NumPy's npz format: for weights, section descriptors and fingerprints."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


def pack_arrays(**arrays: NDArray[Any]) -> bytes:
    """Return the arrays, with their argument names, as the bytes of an npz file; equal arrays give equal bytes."""
    file = BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stubs take a flag of that name for an array
    return file.getvalue()


def unpack_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Decode the bytes of an npz file and return {name: array}. Raises ValueError for other content."""
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise ValueError(f"no packed arrays: {error}") from None
