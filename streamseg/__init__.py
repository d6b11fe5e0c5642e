"""Listens to a live sound and says, while it plays, when it changes, what it is, and whether it was heard before.

::

    from streamseg import open_source, segment

    for event in segment(open_source("song.flac")):
        print(event.type, event.data)

What is public is imported when it is first used: the engine takes half a second to load, which clients and
`--help` do not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamseg.client.blocking import subscribe_sync
    from streamseg.client.subscription import subscribe
    from streamseg.engine import Segmenter, segment
    from streamseg.feature_arrays import extract_features
    from streamseg.settings import Settings, make_settings
    from streamseg.sources import open_source

__version__ = "0.1.0"

_HOMES = {
    "Segmenter": "streamseg.engine",
    "Settings": "streamseg.settings",
    "extract_features": "streamseg.feature_arrays",
    "subscribe_sync": "streamseg.client",
    "open_source": "streamseg.sources",
    "segment": "streamseg.engine",
    "make_settings": "streamseg.settings",
    "subscribe": "streamseg.client",
}
__all__ = [
    "Segmenter",
    "Settings",
    "extract_features",
    "make_settings",
    "open_source",
    "segment",
    "subscribe",
    "subscribe_sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'streamseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
