"""Names that listeners give to labels: kept with what the label sounded like, for the next run.

The engine hears none of it: within an epoch the same samples give the same events, whatever anybody calls them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from streamseg.cli import terminal
from streamseg.engine.named_sounds import NamedSound
from streamseg.errors import StreamsegError
from streamseg.live.name_store import NameStore
from streamseg.wire.events import Event, LabelNamed, SectionClosed

if TYPE_CHECKING:
    from streamseg.engine import Segmenter


class LabelNames:
    """The names given in one epoch."""

    def __init__(self, stream: str, file: NameStore | None) -> None:
        """file: where they are kept; None keeps none."""
        self._stream = stream
        self._file = file
        self._names: dict[str, str] = {}  # label: name
        self._entry_ids: dict[str, int] = {}  # label: its number in the file

    def store_names(self, events: Iterable[Event], segmenter: Segmenter) -> None:
        """Keep what these events name, and how a named label sounds now that more of it was heard."""
        for event in events:
            match event.data:
                case LabelNamed(label=label, name=name):
                    self._names[label] = name
                    self._store_name(label, segmenter)
                case SectionClosed(label=str(label)) if label in self._names:
                    self._store_name(label, segmenter)

    def _store_name(self, label: str, segmenter: Segmenter) -> None:
        content = segmenter.descriptor_of_label(label)
        if self._file is None or content is None:
            return
        entry = NamedSound(name=self._names[label], kind="section", content=content)
        try:
            if label in self._entry_ids:
                self._file.replace_entry(self._entry_ids[label], entry)
            elif (known := segmenter.name_of_label(label)) is not None:
                self._file.rename_entries(known, entry.name)
            else:
                self._entry_ids[label] = self._file.add_entry(entry, self._stream)
        except StreamsegError as error:  # the sound goes on; the name holds until the end of this run
            terminal.stderr.print(f"streamseg: {self._stream}: {entry.name!r} is not kept: {error}")
