"""Writes the names that clients give to labels into the name store, each with a description of its sound.

The engine gets the named sounds when an epoch begins, never during one: within an epoch the same samples give the same
events, whatever names are given meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from streamseg.engine import Segmenter
from streamseg.engine.named_sounds import NamedSound
from streamseg.errors import StreamsegError
from streamseg.live.name_store import NameStore
from streamseg.wire.events import Event, LabelNamed, SectionClosed

log = logging.getLogger(__name__)


class LabelNameRecorder:
    """Writes to the name store the names that clients give to labels of one stream in one epoch (run)."""

    def __init__(self, stream: str, store: NameStore | None) -> None:
        """stream: the name of the stream. store: where to write; with None nothing is written."""
        self._stream = stream
        self._store = store
        self._names: dict[str, str] = {}  # label: name
        self._entry_ids: dict[str, int] = {}  # label: id of its entry in the store

    def store_names_and_sounds(self, events: Iterable[Event], segmenter: Segmenter) -> None:
        """Store name and sound of each label in a `label.named` event; store the sound again at `section.closed`.

        segmenter: the engine of this epoch, which describes the sound of a label. If the store cannot be written, a
        warning is logged and the stream continues.
        """
        for event in events:
            match event.data:
                case LabelNamed(label=label, name=name):
                    self._names[label] = name
                    self._store_name(label, segmenter)
                case SectionClosed(label=str(label)) if label in self._names:
                    self._store_name(label, segmenter)

    def _store_name(self, label: str, segmenter: Segmenter) -> None:
        content = segmenter.descriptor_of_label(label)
        if self._store is None or content is None:
            return
        entry = NamedSound(name=self._names[label], kind="section", content=content)
        try:
            if label in self._entry_ids:
                self._store.replace_entry(self._entry_ids[label], entry)
            elif (previous_name := segmenter.earlier_name_of_label(label)) is not None:
                self._store.rename_section_entries(previous_name, entry.name)
            else:
                self._entry_ids[label] = self._store.add_entry(entry, self._stream)
        except StreamsegError as error:
            log.warning(
                "%s: the name %r holds for this run only and is not stored: %s", self._stream, entry.name, error
            )
