"""What comes with an extra of the installation, and how to say that it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamseg.errors import UsageError


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Import inside it what an extra brings. Raises AskedWrongly that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "streamseg":
            raise
        raise UsageError(
            f"this needs {missing.name}, which is not installed; get it with: pip install 'streamseg[{extra}]'"
        ) from None
