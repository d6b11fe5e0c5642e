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

from streamseg.blocks import Block, Gap, Item
from streamseg.destinations import check_folder, create_numbered, write_all
from streamseg.errors import AskedWrongly, OutputFailed
from streamseg.sources.marks import MarkedItem, mark_line, marks_path, replay
from streamseg.sources.wavefile import WaveFile

if TYPE_CHECKING:
    from streamseg.blocks import Source

__all__ = ["Recorded", "marks_path", "replay"]

log = logging.getLogger(__name__)

_TRY_AGAIN_S: Final = 1.0
_SAY_AGAIN_S: Final = 60.0


class Recorded:
    """A source whose items are written down as they pass."""

    def __init__(self, source: Source, path: Path | str) -> None:
        """path: a file whose name ends in .wav; where it exists, a numbered one is made instead.

        Raises AskedWrongly, or OutputFailed where no file can be made.
        """
        self._source = source
        self.path = Path(path)
        if self.path.suffix.lower() != ".wav":
            raise AskedWrongly(f"a capture is saved as WAV, {str(path)!r} was asked for; name it something.wav")
        if not self.path.parent.is_dir():
            raise AskedWrongly(f"no folder {str(self.path.parent)!r} to save the capture in; make it first")
        if self.path.is_dir():
            raise AskedWrongly(f"{str(path)!r} is a folder; name a WAV file in it")
        check_folder(self.path.parent)
        self.name = source.name
        self.failure: OutputFailed | None = None  # when the capture lacks something; known at the end

    @property
    def dropped_samples(self) -> int:
        """As the source says."""
        return self._source.dropped_samples

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._source.close()

    def __iter__(self) -> Iterator[Item]:
        """The source's own items, whatever happens to the capture."""
        writer = _Writer(self.path)
        try:
            for item in self._source:
                writer.push(item)
                yield item
        finally:
            self.failure = writer.close()


class _Writer:
    """A capture and its marks, as far as they can be written."""

    def __init__(self, path: Path) -> None:
        self._asked = self._path = path
        self._file: io.FileIO | None = None
        self._marks: io.FileIO | None = None
        self._wave: WaveFile | None = None
        self._waiting: list[MarkedItem] = []  # to be marked before the next sample
        self._sample_rate = 0
        self._missing = 0  # samples lost to the disk since it failed
        self._missing_in_all = 0
        self._failing = False
        self._try_at = self._say_at = 0.0

    def push(self, item: Item) -> None:
        """Write it, or remember that it is missing. Never raises for the disk."""
        now = time.monotonic()
        if isinstance(item, Block):
            self._sample_rate = self._sample_rate or item.sample_rate
        else:
            self._mark_missing()
            self._waiting.append(item)
        if self._failing and now < self._try_at:
            self._miss(item)
            return
        try:
            self._write(item)
        except OSError as error:
            self._miss(item)
            self._fail(error, now)
            return
        if self._failing:
            self._failing = False
            log.warning("the capture %s is written again; what is missing is marked in it as a gap", self._path)

    def close(self) -> OutputFailed | None:
        """Finish both files; a failure when something is missing, None when nothing is."""
        self._mark_missing()
        if self._wave is not None and self._wave.frames:
            with suppress(OSError):
                self._write_marks()
        for file in (self._file, self._marks):
            if file is not None:
                with suppress(OSError):
                    file.close()
        if self._file is not None and (self._wave is None or not self._wave.frames):
            with suppress(OSError):  # after it was closed: Windows removes no open file
                self._path.unlink(missing_ok=True)
        lacks = []
        if self._missing_in_all:
            lacks.append(f"{self._missing_in_all / self._sample_rate:.1f} s of sound")
        if self._waiting and self._wave is not None:
            lacks.append(f"its last {len(self._waiting)} marks")
        if not lacks:
            return None
        return OutputFailed(f"the capture {self._path} lacks {' and '.join(lacks)}: the disk was full or failed")

    def _write(self, item: Item) -> None:
        if self._wave is None:
            if not isinstance(item, Block):
                return  # marks wait for the first sample
            self._wave = self._open(item)
        self._mark_missing()
        self._write_marks()
        if isinstance(item, Block):
            self._wave.append(item.samples)

    def _open(self, block: Block) -> WaveFile:
        if self._file is None:
            self._path, self._file = create_numbered(self._asked, lambda path: marks_path(path).exists())
            if self._path != self._asked:
                log.warning("%s exists and is left as it is; what comes is saved in %s", self._asked, self._path)
        return WaveFile(self._file, block.sample_rate, block.samples.shape[1])

    def _write_marks(self) -> None:
        if not self._waiting or self._wave is None:
            return
        if self._marks is None:
            self._marks = io.FileIO(marks_path(self._path), "xb")
        write_all(self._marks, b"".join(mark_line(item, self._wave.frames) for item in self._waiting))
        self._waiting.clear()

    def _miss(self, item: Item) -> None:
        if isinstance(item, Block):
            self._missing += len(item.samples)
            self._missing_in_all += len(item.samples)

    def _mark_missing(self) -> None:
        if self._missing:
            self._waiting.append(Gap(self._missing, "overflow"))
            self._missing = 0

    def _fail(self, error: OSError, now: float) -> None:
        self._failing, self._try_at = True, now + _TRY_AGAIN_S
        if now >= self._say_at:
            self._say_at = now + _SAY_AGAIN_S
            log.warning(
                "the capture %s cannot be written (%s); listening goes on, and writing is tried again every second",
                self._path,
                error.strerror or error,
            )
