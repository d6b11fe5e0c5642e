"""Keeps what a live source gave, so that analysing it again gives the very same events.

The samples go to a WAV file as they are (float32, nothing rounded). What is no sound (gaps, the device's
absence, titles) goes to a text file beside it, `capture.wav.marks.jsonl`, one object a line with the number of
samples written before it; it is there only if there was something to say. `replay` puts both together
again, and an opened capture is replayed without being asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import msgspec
from av.audio.frame import AudioFrame

from streamseg.blocks import Away, Block, Gap, Item, Title
from streamseg.errors import AskedWrongly, OutputFailed

if TYPE_CHECKING:
    from typing import TextIO

    from av.audio.stream import AudioStream
    from av.container import OutputContainer

    from streamseg.blocks import Samples, Source

MarkedItem: TypeAlias = Gap | Away | Title
_KINDS: dict[str, type[MarkedItem]] = {"gap": Gap, "away": Away, "title": Title}


class _Mark(msgspec.Struct):
    """One line of the file beside a capture."""

    sample: int
    kind: str
    fields: dict[str, Any]


def marks_path(path: Path) -> Path:
    """Where the marks of a capture lie."""
    return path.with_name(path.name + ".marks.jsonl")


class Recorded:
    """A source whose items are written down as they pass."""

    def __init__(self, source: Source, path: Path | str) -> None:
        """path: a new file whose name ends in .wav. Raises AskedWrongly."""
        self._source = source
        self._path = Path(path)
        if self._path.suffix.lower() != ".wav":
            raise AskedWrongly(f"a capture is saved as WAV, {str(path)!r} was asked for; name it something.wav")
        if not self._path.parent.is_dir():
            raise AskedWrongly(f"no folder {str(self._path.parent)!r} to save the capture in; make it first")
        self.name = source.name

    @property
    def dropped_samples(self) -> int:
        """As the source says."""
        return self._source.dropped_samples

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._source.close()

    def __iter__(self) -> Iterator[Item]:
        """The source's own items. Raises OutputFailed when the file cannot be written."""
        writer = _Writer(self._path)
        try:
            for item in self._source:
                with _failure_said(self._path):
                    writer.push(item)
                yield item
        finally:
            with _failure_said(self._path):
                writer.close()


@contextmanager
def _failure_said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputFailed(f"the capture {path} cannot be written: {error.strerror}; is the disk full?") from None


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        marks_path(path).unlink(missing_ok=True)  # an older capture's
        self._sound: tuple[OutputContainer, AudioStream] | None = None
        self._marks: TextIO | None = None
        self._written = 0

    def push(self, item: Item) -> None:
        if isinstance(item, Block):
            self._write(item.samples, item.sample_rate)
            return
        kind = next(kind for kind, its_type in _KINDS.items() if isinstance(item, its_type))
        mark = {"sample": self._written, "kind": kind, "fields": msgspec.to_builtins(item)}
        if self._marks is None:
            self._marks = marks_path(self._path).open("w", encoding="utf-8")
        self._marks.write(msgspec.json.encode(mark).decode() + "\n")
        self._marks.flush()

    def _write(self, samples: Samples, sample_rate: int) -> None:
        channels = samples.shape[1]
        layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
        if self._sound is None:
            container = av.open(f"file:{self._path}", "w", format="wav", options={"rf64": "auto"})  # past 4 GB too
            self._sound = container, container.add_stream("pcm_f32le", rate=sample_rate, layout=layout)
        container, stream = self._sound
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = sample_rate
        frame.pts = self._written
        container.mux(stream.encode(frame))
        self._written += len(samples)

    def close(self) -> None:
        if self._sound is not None:
            container, stream = self._sound
            container.mux(stream.encode(None))
            container.close()
        if self._marks is not None:
            self._marks.close()


def replay(blocks: Iterable[Item], path: Path) -> Iterator[Item]:
    """The blocks of a capture with its marks between the samples where they were."""
    with marks_path(path).open(encoding="utf-8") as lines:
        marks = (msgspec.json.decode(line, type=_Mark) for line in lines)
        mark = next(marks, None)
        position = 0
        for block in blocks:
            if not isinstance(block, Block):
                yield block
                continue
            samples = block.samples
            while mark is not None and mark.sample <= position + len(samples):
                before = mark.sample - position
                if before:
                    yield Block(samples[:before], block.sample_rate)
                samples = samples[before:]
                position += before
                yield _item(mark)
                mark = next(marks, None)
            if len(samples):
                yield Block(samples, block.sample_rate)
                position += len(samples)
        while mark is not None:
            yield _item(mark)
            mark = next(marks, None)


def _item(mark: _Mark) -> MarkedItem:
    return msgspec.convert(mark.fields, _KINDS[mark.kind])
