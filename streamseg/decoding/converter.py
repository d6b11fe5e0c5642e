"""Converts decoded frames of any format to interleaved float32 samples with the first frame's rate and channels."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from streamseg.decoding.slots import SLOT_BYTES

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    FrameFormat: TypeAlias = tuple[str, int, str, int, object]

BLOCK_S = 1.0  # converting one second at a time costs a third less than packet by packet
SAMPLE_BYTES = 4
LOWEST_HZ, HIGHEST_HZ = 1000, 3_072_000  # the upper limit is 64 times the rate of a DVD, a rate of DSD
MAX_CHANNELS = 128


class UnsupportedFormatError(Exception):
    """A decoded frame has a sample rate or a channel count outside the supported range.

    Its text is a predicate whose subject is the file.
    """


class SampleConverter:
    """Converts decoded frames to float32 samples of one rate and channel count, about a second at a time.

    A stream may change its format in the middle (chained radio captures, HE-AAC, broadcasts that change from 5.1 to
    stereo): every frame is converted to the first frame's rate and channels. FFmpeg's FIFO takes frames of one format
    only; with another channel count it reads outside its memory. So every change of format is detected here.
    """

    def __init__(self) -> None:
        self.sample_rate = 0
        self.channels = 0
        self._layout = ""
        self._format: FrameFormat | None = None
        self._fifo = AudioFifo()
        self._resampler = AudioResampler()

    def add_frame(self, frame: AudioFrame) -> Iterator[memoryview]:
        """Add a decoded frame; when about a second of sound has been collected, convert it and yield the samples.

        Each item has interleaved float32 samples as bytes, and is valid until the next step of the iteration.
        Raises UnsupportedFormatError, FFmpegError.
        """
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if not frame.samples:
            return
        if not (LOWEST_HZ <= rate <= HIGHEST_HZ and 1 <= channels <= MAX_CHANNELS):
            raise UnsupportedFormatError(
                f"claims {channels:,} channels at {rate:,} Hz; sound of up to {MAX_CHANNELS} channels and "
                f"{LOWEST_HZ:,} to {HIGHEST_HZ:,} Hz can be read"
            )
        if not self.sample_rate:
            self.sample_rate, self.channels, self._layout = rate, channels, frame.layout.name
        frame.pts = None  # with encoder delay the times do not start at 0; samples are counted here
        frame_format = (frame.format.name, channels, frame.layout.name, rate, frame.time_base)
        if frame_format != self._format:
            yield from self.flush()
            self._format = frame_format
            self._fifo = AudioFifo()
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=self.sample_rate)
        self._fifo.write(frame)
        if self._fifo.samples >= min(BLOCK_S * rate, SLOT_BYTES // (SAMPLE_BYTES * channels)):
            yield from self._convert(self._fifo.read())

    def flush(self) -> Iterator[memoryview]:
        """Convert and yield the samples that `add_frame` has not yielded yet. Call it after the last frame."""
        if self._format is None:
            return
        if self._fifo.samples:
            yield from self._convert(self._fifo.read())
        yield from self._convert(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[memoryview]:
        try:
            frames = self._resampler.resample(frame)
        except MemoryError:
            raise
        except FFmpegError:
            # FFmpeg cannot map channels that have no names: keep their numbers
            if frame is None or frame.layout.name == self._layout:
                raise
            self._resampler = AudioResampler(format="flt", layout=frame.layout.name, rate=self.sample_rate)
            frames = self._resampler.resample(frame)
        for each in frames:
            if each is None or not each.samples:
                continue
            count = each.layout.nb_channels
            samples = memoryview(each.planes[0])[: each.samples * count * SAMPLE_BYTES]
            yield samples if count == self.channels else drop_or_add_channels(samples, count, self.channels)


def drop_or_add_channels(samples: memoryview, channels: int, new_channels: int) -> memoryview:
    """Drop surplus channels of interleaved float32 samples or add silent ones (mono is copied to all); returns bytes.

    channels, new_channels: how many there are, and how many are returned. Each channel keeps its number.
    """
    source = array("f", bytes(samples))
    target = array("f", bytes(len(source) // channels * new_channels * SAMPLE_BYTES))
    for channel in range(new_channels if channels == 1 else min(channels, new_channels)):
        target[channel::new_channels] = source[0 if channels == 1 else channel :: channels]
    return memoryview(target).cast("B")
