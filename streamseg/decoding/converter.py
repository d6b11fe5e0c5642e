"""Frames of whatever format become interleaved float32 samples of the first frame's rate and channels."""

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

BLOCK_S = 1.0  # converting a second at once costs a third less than packet by packet
SAMPLE_BYTES = 4
LOWEST_HZ, HIGHEST_HZ = 1000, 3_072_000  # the upper one is 64 times that of a DVD, as DSD has it
MAX_CHANNELS = 128


class UnsupportedFormatError(Exception):
    """A frame claims a rate or a channel count that no recording has. The text is a predicate on the file."""


class SampleConverter:
    """Gives about a second at a time.

    A stream may change its format on the way (chained radio captures, HE-AAC, broadcasts that go from 5.1 to stereo):
    what comes is converted to the first frame's rate and channels. FFmpeg's queue takes frames of one format only and
    looks at fewer channels or more beyond their memory, so every change is looked for here.
    """

    def __init__(self) -> None:
        self.sample_rate = 0
        self.channels = 0
        self._layout = ""
        self._format: FrameFormat | None = None
        self._fifo = AudioFifo()
        self._resampler = AudioResampler()

    def push(self, frame: AudioFrame) -> Iterator[memoryview]:
        """Interleaved samples as bytes, valid until the next step. Raises ImpossibleFormat, FFmpegError."""
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
        frame.pts = None  # encoder delay makes them start elsewhere; samples are counted here
        its_format = (frame.format.name, channels, frame.layout.name, rate, frame.time_base)
        if its_format != self._format:
            yield from self.finish()
            self._format = its_format
            self._fifo = AudioFifo()
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=self.sample_rate)
        self._fifo.write(frame)
        if self._fifo.samples >= min(BLOCK_S * rate, SLOT_BYTES // (SAMPLE_BYTES * channels)):
            yield from self._convert(self._fifo.read())

    def finish(self) -> Iterator[memoryview]:
        """What is left."""
        if self._format is None:
            return
        if self._fifo.samples:
            yield from self._convert(self._fifo.read())
        yield from self._convert(None)

    def _convert(self, frame: AudioFrame | None) -> Iterator[memoryview]:
        try:
            converted = self._resampler.resample(frame)
        except MemoryError:
            raise
        except FFmpegError:
            # nobody knows where to put channels without names: keep their numbers
            if frame is None or frame.layout.name == self._layout:
                raise
            self._resampler = AudioResampler(format="flt", layout=frame.layout.name, rate=self.sample_rate)
            converted = self._resampler.resample(frame)
        for each in converted:
            if each is None or not each.samples:
                continue
            count = each.layout.nb_channels
            samples = memoryview(each.planes[0])[: each.samples * count * SAMPLE_BYTES]
            yield samples if count == self.channels else match_channels(samples, count, self.channels)


def match_channels(samples: memoryview, count: int, wanted: int) -> memoryview:
    """Interleaved samples with another channel count: mono goes to every channel, else each keeps its number."""
    given = array("f", bytes(samples))
    taken = array("f", bytes(len(given) // count * wanted * SAMPLE_BYTES))
    for channel in range(wanted if count == 1 else min(count, wanted)):
        taken[channel::wanted] = given[0 if count == 1 else channel :: count]
    return memoryview(taken).cast("B")
