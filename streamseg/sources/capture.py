"""Keeps what a live source gave, so that analysing it again gives the very same events.

The samples go to a WAV file as they are (float32, nothing rounded). What is no sound (gaps, the device's
absence, titles) goes to a text file beside it, `capture.wav.marks.jsonl`, one object a line with the number of
samples written before it; it is there only if there was something to say. `replay` (`marks.py`) puts both together
again, and an opened capture is replayed without being asked.

An existing file is never written: a capture takes the next free number (`capture-2.wav`). A disk that is full loses
samples of the capture and nothing else: it is said, listening goes on, writing is tried again, and what is missing
then is marked as a gap, so that times in the capture stay right.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamseg.blocks import Block, Gap, SourceItem
from streamseg.destinations import check_folder, create_numbered_file, write_all
from streamseg.errors import OutputError, UsageError
from streamseg.sources.capture_marks import NonSoundItem, capture_marks_path, format_mark, replay_capture
from streamseg.sources.wav_writer import WavWriter

if TYPE_CHECKING:
    from streamseg.blocks import Source

__all__ = ["RecordedSource", "capture_marks_path", "replay_capture"]

log = logging.getLogger(__name__)

_RETRY_INTERVAL_S: Final = 1.0
_REPORT_INTERVAL_S: Final = 60.0


class RecordedSource:
    """A source whose items are written down as they pass."""

    def __init__(self, source: Source, path: Path | str) -> None:
        """path: a file whose name ends in .wav; where it exists, a numbered one is made instead.

        Raises AskedWrongly, or OutputFailed where no file can be made.
        """
        self._source = source
        self.path = Path(path)
        if self.path.suffix.lower() != ".wav":
            raise UsageError(f"a capture is saved as WAV, {str(path)!r} was asked for; name it something.wav")
        if not self.path.parent.is_dir():
            raise UsageError(f"no folder {str(self.path.parent)!r} to save the capture in; make it first")
        if self.path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder; name a WAV file in it")
        check_folder(self.path.parent)
        self.name = source.name
        self.failure: OutputError | None = None  # when the capture lacks something; known at the end

    @property
    def dropped_samples(self) -> int:
        """As the source says."""
        return self._source.dropped_samples

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._source.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """The source's own items, whatever happens to the capture."""
        writer = _CaptureWriter(self.path)
        try:
            for item in self._source:
                writer.push(item)
                yield item
        finally:
            self.failure = writer.close()


class _CaptureWriter:
    """A capture and its marks, as far as they can be written."""

    def __init__(self, path: Path) -> None:
        self._requested_path = self._path = path
        self._file: io.FileIO | None = None
        self._marks: io.FileIO | None = None
        self._wav: WavWriter | None = None
        self._pending_marks: list[NonSoundItem] = []  # to be marked before the next sample
        self._sample_rate = 0
        self._missing_samples = 0  # samples lost to the disk since it failed
        self._total_missing_samples = 0
        self._failure = False
        self._retry_at = self._report_at = 0.0

    def push(self, item: SourceItem) -> None:
        """Write it, or remember that it is missing. Never raises for the disk."""
        now = time.monotonic()
        if isinstance(item, Block):
            self._sample_rate = self._sample_rate or item.sample_rate
        else:
            self._write_missing_mark()
            self._pending_marks.append(item)
        if self._failure and now < self._retry_at:
            self._count_missing(item)
            return
        try:
            self._write(item)
        except OSError as error:
            self._count_missing(item)
            self._report_failure(error, now)
            return
        if self._failure:
            self._failure = False
            log.warning("the capture %s is written again; what is missing is marked in it as a gap", self._path)

    def close(self) -> OutputError | None:
        """Finish both files; a failure when something is missing, None when nothing is."""
        self._write_missing_mark()
        if self._wav is not None and self._wav.frames:
            with suppress(OSError):
                self._write_marks()
        for file in (self._file, self._marks):
            if file is not None:
                with suppress(OSError):
                    file.close()
        if self._file is not None and (self._wav is None or not self._wav.frames):
            with suppress(OSError):  # after it was closed: Windows removes no open file
                self._path.unlink(missing_ok=True)
        lacks = []
        if self._total_missing_samples:
            lacks.append(f"{self._total_missing_samples / self._sample_rate:.1f} s of sound")
        if self._pending_marks and self._wav is not None:
            lacks.append(f"its last {len(self._pending_marks)} marks")
        if not lacks:
            return None
        return OutputError(f"the capture {self._path} lacks {' and '.join(lacks)}: the disk was full or failed")

    def _write(self, item: SourceItem) -> None:
        if self._wav is None:
            if not isinstance(item, Block):
                return  # marks wait for the first sample
            self._wav = self._open(item)
        self._write_missing_mark()
        self._write_marks()
        if isinstance(item, Block):
            self._wav.append(item.samples)

    def _open(self, block: Block) -> WavWriter:
        if self._file is None:
            self._path, self._file = create_numbered_file(
                self._requested_path, lambda path: capture_marks_path(path).exists()
            )
            if self._path != self._requested_path:
                log.warning(
                    "%s exists and is left as it is; what comes is saved in %s", self._requested_path, self._path
                )
        return WavWriter(self._file, block.sample_rate, block.samples.shape[1])

    def _write_marks(self) -> None:
        if not self._pending_marks or self._wav is None:
            return
        if self._marks is None:
            self._marks = io.FileIO(capture_marks_path(self._path), "xb")
        write_all(self._marks, b"".join(format_mark(item, self._wav.frames) for item in self._pending_marks))
        self._pending_marks.clear()

    def _count_missing(self, item: SourceItem) -> None:
        if isinstance(item, Block):
            self._missing_samples += len(item.samples)
            self._total_missing_samples += len(item.samples)

    def _write_missing_mark(self) -> None:
        if self._missing_samples:
            self._pending_marks.append(Gap(self._missing_samples, "overflow"))
            self._missing_samples = 0

    def _report_failure(self, error: OSError, now: float) -> None:
        self._failure, self._retry_at = True, now + _RETRY_INTERVAL_S
        if now >= self._report_at:
            self._report_at = now + _REPORT_INTERVAL_S
            log.warning(
                "the capture %s cannot be written (%s); listening goes on, and writing is tried again every second",
                self._path,
                error.strerror or error,
            )
