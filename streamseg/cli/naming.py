"""Names that listeners give to labels: kept with what the label sounded like, for the next run.

The engine hears none of it: within an epoch the same samples give the same events, whatever anybody calls them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from streamseg.cli import terminal
from streamseg.errors import StreamsegError
from streamseg.events import Event, LabelNamed, SectionClosed
from streamseg.memory import Remembered
from streamseg.server.remembering import MemoryFile

if TYPE_CHECKING:
    from streamseg.engine import Segmenter


class Naming:
    """The names given in one epoch."""

    def __init__(self, stream: str, file: MemoryFile | None) -> None:
        """file: where they are kept; None keeps none."""
        self._stream = stream
        self._file = file
        self._names: dict[str, str] = {}  # label: name
        self._kept: dict[str, int] = {}  # label: its number in the file

    def take(self, events: Iterable[Event], segmenter: Segmenter) -> None:
        """Keep what these events name, and how a named label sounds now that more of it was heard."""
        for event in events:
            match event.data:
                case LabelNamed(label=label, name=name):
                    self._names[label] = name
                    self._keep(label, segmenter)
                case SectionClosed(label=str(label)) if label in self._names:
                    self._keep(label, segmenter)

    def _keep(self, label: str, segmenter: Segmenter) -> None:
        content = segmenter.prototype(label)
        if self._file is None or content is None:
            return
        entry = Remembered(name=self._names[label], kind="section", content=content)
        try:
            if label in self._kept:
                self._file.replace(self._kept[label], entry)
            elif (known := segmenter.name_of(label)) is not None:
                self._file.rename(known, entry.name)
            else:
                self._kept[label] = self._file.add(entry, self._stream)
        except StreamsegError as error:  # the sound goes on; the name holds until the end of this run
            terminal.err.print(f"streamseg: {self._stream}: {entry.name!r} is not kept: {error}")
