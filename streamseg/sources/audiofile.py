"""Any audio file, decoded by FFmpeg (PyAV) as it is needed: an hour costs no more memory than a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler

from streamseg.blocks import Block, Gap, Item, Samples
from streamseg.errors import NotAudio, SourceFailed, SourceNotFound, SourceTruncated
from streamseg.sources.recorded import marks_path, replay
from streamseg.sources.truncation import Heard, missing_end

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_BLOCK_S = 1.0  # converting a second at once costs a third less than packet by packet


class AudioFile:
    """The first audio stream of a file, all its channels, at its own rate."""

    def __init__(self, path: Path | str) -> None:
        """Look whether it is there. Raises SourceNotFound, SourceFailed."""
        self.path = Path(path)
        self.name = str(path)
        self.dropped_samples = 0  # of a replayed capture; a file drops nothing
        self._closed = threading.Event()
        if not self.path.exists():
            raise SourceNotFound(f"no file {self.name!r}; a source is a file, mic, mic:NAME or - (streamseg --help)")
        if self.path.is_dir():
            raise SourceNotFound(f"{self.name!r} is a folder; name a file in it")

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._closed.set()

    def __iter__(self) -> Iterator[Item]:
        """Blocks of about a second; of a capture (`recorded.py`), its gaps as well, where they were.

        Raises NotAudio, SourceFailed; SourceTruncated after the last block.
        """
        if not marks_path(self.path).exists():
            yield from self._blocks()
            return
        for item in replay(self._blocks(), self.path):
            if isinstance(item, Gap):
                self.dropped_samples += item.missing_samples
            yield item

    def _blocks(self) -> Iterator[Item]:
        with self._open() as container:
            try:
                yield from self._decode(container)
            except av.error.FFmpegError as error:
                raise SourceFailed(f"{self.name} cannot be read further: {error.strerror}") from None

    def _open(self) -> av.container.InputContainer:
        try:
            # "file:" keeps a name such as `mix:1.mp3` from being read as an address
            return av.open(f"file:{self.path}")
        except av.error.PermissionError:
            raise SourceFailed(f"{self.name} may not be read by this user; change its permissions") from None
        except av.error.FFmpegError:
            raise self._unreadable() from None

    def _decode(self, container: av.container.InputContainer) -> Iterator[Item]:
        if not container.streams.audio:
            raise NotAudio(f"{self.name} holds no sound ({container.format.long_name})")
        stream = container.streams.audio[0]
        converter = _Converter()
        heard = Heard()
        for packet in container.demux(stream):
            if self._closed.is_set():
                return
            if packet.size:  # the last one only empties the decoder
                heard.last_packet, heard.last_packet_failed = packet, False
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:  # as every player: skip what is broken, go on with the next
                heard.last_packet_failed = True
                continue
            for frame in frames:
                for samples in converter.push(frame):
                    yield self._block(samples, converter.sample_rate, heard)
        for samples in converter.finish():
            yield self._block(samples, converter.sample_rate, heard)
        if heard.seconds == 0.0:
            raise NotAudio(f"{self.name} holds no sound: nothing in it could be decoded ({container.format.long_name})")
        why = missing_end(self.path, container, stream, heard)
        if why:
            raise SourceTruncated(f"{self.name} is cut off: {why}; all that could be read was analysed")

    def _block(self, samples: Samples, sample_rate: int, heard: Heard) -> Block:
        heard.seconds += len(samples) / sample_rate
        return Block(samples, sample_rate)

    def _unreadable(self) -> SourceFailed:
        with self.path.open("rb") as file:
            head = file.read(12)
        if not head:
            return NotAudio(f"{self.name} is empty (0 bytes)")
        if head[4:8] == b"ftyp":
            return SourceTruncated(f"{self.name} is cut off: its index, which stands at the end, is missing")
        return NotAudio(f"{self.name} is not a sound file that FFmpeg knows, whatever its name says")


class _Converter:
    """Frames of whatever format become float32 blocks of about a second, shape (n, channels).

    A stream may change its format on the way (chained radio captures, HE-AAC): the first one's rate and
    channels are kept.
    """

    def __init__(self) -> None:
        self.sample_rate = 0
        self._layout = ""
        self._channels = 0
        self._fifo = AudioFifo()
        self._resampler = AudioResampler()

    def push(self, frame: AudioFrame) -> Iterator[Samples]:
        if not self.sample_rate:
            self.sample_rate, self._layout = frame.sample_rate, frame.layout.name
            self._channels = frame.layout.nb_channels
            self._start()
        frame.pts = None  # encoder delay makes them start elsewhere; samples are counted here
        try:
            self._fifo.write(frame)
        except ValueError:  # another format than the frames before
            yield from self.finish()
            self._start()
            self._fifo.write(frame)
        if self._fifo.samples >= _BLOCK_S * frame.sample_rate:
            yield from self._convert(self._fifo.read())

    def finish(self) -> Iterator[Samples]:
        """What is left."""
        if not self.sample_rate:
            return
        if self._fifo.samples:
            yield from self._convert(self._fifo.read())
        yield from self._convert(None)

    def _start(self) -> None:
        self._fifo = AudioFifo()
        self._resampler = AudioResampler(format="flt", layout=self._layout, rate=self.sample_rate)

    def _convert(self, frame: AudioFrame | None) -> Iterator[Samples]:
        for converted in self._resampler.resample(frame):
            samples = converted.to_ndarray().reshape(-1, self._channels)
            if len(samples):
                yield np.ascontiguousarray(samples, np.float32)
