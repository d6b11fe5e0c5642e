"""Any audio file, decoded by FFmpeg (PyAV) as it is needed: an hour costs no more memory than a second.

Decoding happens in a child process (`decoder.py`), so that no file can take the program with it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from streamseg.blocks import Gap, SourceItem
from streamseg.errors import SourceError, SourceNotFoundError
from streamseg.sources.capture import capture_marks_path, replay_capture
from streamseg.sources.decoder import DecoderProcess


class AudioFileSource:
    """The first audio stream of a file, all its channels, at its own rate."""

    def __init__(self, path: Path | str) -> None:
        """Look whether it is there, and begin to decode it. Raises SourceNotFound, SourceFailed."""
        self.path = Path(path)
        self.name = display_name(path)
        self.dropped_samples = 0  # of a replayed capture; a file drops nothing
        self._close_event = threading.Event()
        self._check()
        self._decoder: set[DecoderProcess] = set()
        # Begun here and not at the first block: a child takes a tenth of a second to start, and so does the engine.
        self._has_begun: DecoderProcess | None = DecoderProcess(self.path, self.name)
        self._finalizer = weakref.finalize(self, self._has_begun.release)

    def close(self) -> None:
        """End the iteration, from any thread or signal handler, whatever it is waiting for."""
        self._close_event.set()
        for decoder in (*tuple(self._decoder), self._has_begun):
            if decoder is not None:
                decoder.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Blocks of about a second; of a capture (`recorded.py`), its gaps as well, where they were.

        Raises NotAudio, SourceFailed; SourceTruncated after the last block.
        """
        if not capture_marks_path(self.path).exists():
            yield from self._blocks()
            return
        for item in replay_capture(self._blocks(), self.path):
            if isinstance(item, Gap):
                self.dropped_samples += item.missing_samples
            yield item

    def _check(self) -> None:
        try:
            if not self.path.exists():
                raise SourceNotFoundError(
                    f"no file {self.name!r}; a source is a file, mic, mic:NAME or - (streamseg --help)"
                )
            if self.path.is_dir():
                raise SourceNotFoundError(f"{self.name!r} is a folder; name a file in it")
        except OSError as error:
            raise SourceError(f"{self.name} cannot be looked at: {error.strerror}") from None

    def _blocks(self) -> Iterator[SourceItem]:
        decoder, self._has_begun = self._has_begun or DecoderProcess(self.path, self.name), None
        self._finalizer.detach()
        self._decoder.add(decoder)
        try:
            if not self._close_event.is_set():  # asked after the decoder can be found by `close`
                yield from decoder
        finally:
            self._decoder.discard(decoder)
            decoder.release()


def display_name(path: Path | str) -> str:
    """A file's name as it is shown and sent: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
