"""Reports a missing extra of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamseg.errors import UsageError


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Within the block, turn a missing module into a UsageError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "streamseg":
            raise
        raise UsageError(
            f"this needs {error.name}, which is not installed; install it with: pip install 'streamseg[{extra}]'"
        ) from None
