"""Puts the path of the sound file into events, for formats that need it: events have only its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from streamseg.errors import UsageError
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import StreamStarted

FORMATS_WITH_PATH: Final = frozenset({"rekordbox"})


def set_audio_path(envelopes: Iterable[Envelope], audio_path: str) -> Iterator[Envelope]:
    """Yield the same events, but replace the name of the sound file in `StreamStarted` by `audio_path`."""
    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            envelope = msgspec.structs.replace(envelope, data=msgspec.structs.replace(envelope.data, source=audio_path))
        yield envelope


def resolve_audio_path(envelopes: Iterable[Envelope], folder: Path) -> Iterator[Envelope]:
    """Yield the same events, but replace the name of the sound file in `StreamStarted` by the path where it is found.

    The file is searched for in `folder`, then in the current folder. Raises UsageError when it is in neither.
    """
    for envelope in envelopes:
        if isinstance(envelope.data, StreamStarted):
            name = envelope.data.source
            audio = next((str(path) for path in (folder / name, Path(name)) if path.is_file()), None)
            if audio is None and not Path(name).is_absolute():
                raise UsageError(
                    f"this format needs the path of the sound file; {name!r} is neither in {str(folder)!r} nor in the "
                    "current folder; give it with --audio PATH"
                )
            (envelope,) = set_audio_path([envelope], audio or name)
        yield envelope
