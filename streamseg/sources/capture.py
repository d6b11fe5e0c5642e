"""Records a live source in a WAV file, so that a later analysis of the file gives exactly the same events.

The WAV file holds the samples as they are (float32, not rounded). Gaps, absences of the device, and titles are written
to a text file beside it, `capture.wav.marks.jsonl`: one JSON object per line, with the number of samples before it.
This file exists only if it has a line. `merge_capture_marks` (`capture_marks.py`) merges both files again;
`AudioFileSource` uses it for every WAV file that has a file of marks.

A capture never writes to an existing file: it takes the next free number (`capture-2.wav`). A full disk affects the
capture only: a warning is logged, the source continues, writing is tried again, and the samples that are missing in
the file are marked as a gap, so that times in the capture stay correct.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamseg.atomic_files import append_all_or_nothing, check_folder_can_be_written, create_numbered_file
from streamseg.blocks import Block, Gap, SourceItem
from streamseg.errors import OutputError, UsageError
from streamseg.sources.capture_marks import NonSoundItem, capture_marks_path, format_mark_line, merge_capture_marks
from streamseg.sources.wav_writer import WavWriter

if TYPE_CHECKING:
    from streamseg.blocks import Source

__all__ = ["CapturingSource", "capture_marks_path", "merge_capture_marks"]

log = logging.getLogger(__name__)

_RETRY_INTERVAL_S: Final = 1.0
_REPORT_INTERVAL_S: Final = 60.0


class CapturingSource:
    """A source that yields the items of another source unchanged, and also saves the sound to a WAV file."""

    def __init__(self, source: Source, path: Path | str) -> None:
        """Check that the capture can be written. The iteration creates the file.

        source: the source to record. path: of the capture, ends in .wav; if the file exists, a numbered one is created.
        Raises UsageError, or OutputError where no file can be created.
        """
        self._source = source
        self.path = Path(path)
        if self.path.suffix.lower() != ".wav":
            raise UsageError(f"a capture is saved as WAV, {str(path)!r} was asked for; name it something.wav")
        if not self.path.parent.is_dir():
            raise UsageError(f"no folder {str(self.path.parent)!r} to save the capture in; make it first")
        if self.path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder; name a WAV file in it")
        check_folder_can_be_written(self.path.parent)
        self.name = source.name
        self.failure: OutputError | None = None  # set at the end when the capture is incomplete

    @property
    def dropped_samples(self) -> int:
        """The number of samples (per channel) that the source has lost so far."""
        return self._source.dropped_samples

    def close(self) -> None:
        """Close the source that is captured, so that the iteration ends. It may be called from any thread."""
        self._source.close()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the items of the source, also while the capture cannot be written.

        At the end, `failure` is set to an error if the capture is incomplete.
        """
        writer = _CaptureWriter(self.path)
        try:
            for item in self._source:
                writer.push(item)
                yield item
        finally:
            self.failure = writer.close()


class _CaptureWriter:
    """Writes a capture and its marks; after an error of the disk it tries again every second."""

    def __init__(self, path: Path) -> None:
        self._requested_path = self._path = path
        self._file: io.FileIO | None = None
        self._marks: io.FileIO | None = None
        self._wav: WavWriter | None = None
        self._pending_marks: list[NonSoundItem] = []  # to be written before the next sample
        self._sample_rate = 0
        self._missing_samples = 0  # samples not written since the disk failed
        self._total_missing_samples = 0
        self._is_failing = False
        self._retry_at = self._report_at = 0.0

    def push(self, item: SourceItem) -> None:
        """Write an item to the files; if the disk fails, count its samples as missing. Raises no OSError."""
        now = time.monotonic()
        if isinstance(item, Block):
            self._sample_rate = self._sample_rate or item.sample_rate
        else:
            self._write_missing_mark()
            self._pending_marks.append(item)
        if self._is_failing and now < self._retry_at:
            self._count_missing(item)
            return
        try:
            self._write_item(item)
        except OSError as error:
            self._count_missing(item)
            self._report_failure(error, now)
            return
        if self._is_failing:
            self._is_failing = False
            log.warning("the capture %s is written again; what is missing is marked in it as a gap", self._path)

    def close(self) -> OutputError | None:
        """Finish both files. Returns an error that says what is missing; None when the capture is complete."""
        self._write_missing_mark()
        if self._wav is not None and self._wav.frames:
            with suppress(OSError):
                self._write_marks()
        for file in (self._file, self._marks):
            if file is not None:
                with suppress(OSError):
                    file.close()
        if self._file is not None and (self._wav is None or not self._wav.frames):
            with suppress(OSError):  # after closing: Windows does not remove an open file
                self._path.unlink(missing_ok=True)
        missing_parts = []
        if self._total_missing_samples:
            missing_parts.append(f"{self._total_missing_samples / self._sample_rate:.1f} s of sound")
        if self._pending_marks and self._wav is not None:
            missing_parts.append(f"its last {len(self._pending_marks)} marks")
        if not missing_parts:
            return None
        return OutputError(f"the capture {self._path} lacks {' and '.join(missing_parts)}: the disk was full or failed")

    def _write_item(self, item: SourceItem) -> None:
        if self._wav is None:
            if not isinstance(item, Block):
                return  # marks are written after the first block has created the file
            self._wav = self._open_wav(item)
        self._write_missing_mark()
        self._write_marks()
        if isinstance(item, Block):
            self._wav.append(item.samples)

    def _open_wav(self, block: Block) -> WavWriter:
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
        append_all_or_nothing(
            self._marks, b"".join(format_mark_line(item, self._wav.frames) for item in self._pending_marks)
        )
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
        self._is_failing, self._retry_at = True, now + _RETRY_INTERVAL_S
        if now >= self._report_at:
            self._report_at = now + _REPORT_INTERVAL_S
            log.warning(
                "the capture %s cannot be written (%s); listening goes on, and writing is tried again every second",
                self._path,
                error.strerror or error,
            )
