"""What a decoding child gives, and where its tests can run."""

import sys

import pytest

from streamseg.errors import SourceError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or at names that only Linux allows")

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and named pipes")


def heard(source):
    """All items of a source and its failure."""
    items, failure = [], None
    try:
        items.extend(source)  # which keeps what came before a failure
    except SourceError as error:
        failure = error
    return items, failure
