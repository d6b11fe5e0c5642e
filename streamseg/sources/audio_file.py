"""Reads audio files block by block with FFmpeg (PyAV), so that memory does not depend on the length of a file.

A child process decodes (`decoder.py`), so that no damaged file can end the program.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from streamseg.blocks import Gap, SourceItem
from streamseg.errors import SourceError, SourceNotFoundError
from streamseg.sources.capture import capture_marks_path, merge_capture_marks
from streamseg.sources.decoder import DecoderProcess


class AudioFileSource:
    """A source that reads the first audio stream of a file, with all its channels, at its own sample rate."""

    def __init__(self, path: Path | str) -> None:
        """Check that the file exists, and start to decode it in a child process.

        Raises SourceNotFoundError, SourceError.
        """
        self.path = Path(path)
        self.name = decode_path_lossily(path)
        self.dropped_samples = 0  # missing samples of a replayed capture; other files have none
        self._close_event = threading.Event()
        self._check_file()
        self._active_decoders: set[DecoderProcess] = set()
        # Started here and not at the first block: the child takes a tenth of a second to start, and so does the engine
        self._first_decoder: DecoderProcess | None = DecoderProcess(self.path, self.name)
        self._finalizer = weakref.finalize(self, self._first_decoder.kill_and_free_resources)

    def close(self) -> None:
        """Kill the decoder process, so that the iteration ends without an error, even while it waits for data.

        It may be called from any thread or signal handler.
        """
        self._close_event.set()
        for decoder in (*tuple(self._active_decoders), self._first_decoder):
            if decoder is not None:
                decoder.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Decode the file: yield blocks of about a second; for a capture, also its gaps, absences and titles.

        Raises NotAudioError or SourceError; TruncatedSourceError after the last block of a truncated file.
        """
        if not capture_marks_path(self.path).exists():
            yield from self._decode_blocks()
            return
        for item in merge_capture_marks(self._decode_blocks(), self.path):
            if isinstance(item, Gap):
                self.dropped_samples += item.missing_samples
            yield item

    def _check_file(self) -> None:
        try:
            if not self.path.exists():
                raise SourceNotFoundError(
                    f"no file {self.name!r}; a source is a file, mic, mic:NAME or - (streamseg --help)"
                )
            if self.path.is_dir():
                raise SourceNotFoundError(f"{self.name!r} is a folder; name a file in it")
        except OSError as error:
            raise SourceError(f"{self.name} cannot be looked at: {error.strerror}") from None

    def _decode_blocks(self) -> Iterator[SourceItem]:
        decoder, self._first_decoder = self._first_decoder or DecoderProcess(self.path, self.name), None
        self._finalizer.detach()
        self._active_decoders.add(decoder)
        try:
            if not self._close_event.is_set():  # checked once `close` can find the decoder
                yield from decoder
        finally:
            self._active_decoders.discard(decoder)
            decoder.kill_and_free_resources()


def decode_path_lossily(path: Path | str) -> str:
    """Return a path as text for messages and events, with bytes that are not UTF-8 replaced by U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")
