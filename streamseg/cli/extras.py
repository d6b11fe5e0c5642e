"""Reports which optional dependencies (an extra of the package) a command needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamseg.errors import UsageError


@contextmanager
def convert_missing_module_errors(extra: str) -> Iterator[None]:
    """In the `with` block, turn a ModuleNotFoundError into a UsageError that contains the `pip install` command.

    extra: the extra of streamseg that installs the package. A missing module of streamseg itself is not converted.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "streamseg":
            raise
        raise UsageError(
            f"this needs {error.name}, which is not installed; install it with: pip install 'streamseg[{extra}]'"
        ) from None
