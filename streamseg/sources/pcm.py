"""A source that reads raw PCM from standard input, or from another byte stream that has a file descriptor."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal, TypeAlias, get_args

import numpy as np

from streamseg.blocks import Block, Samples, SourceItem
from streamseg.errors import NotAudioError, TruncatedSourceError, UsageError
from streamseg.sources.pipe_reader import read_pipe

SampleFormat: TypeAlias = Literal["s16le", "s24le", "s32le", "f32le"]
_BYTES: dict[SampleFormat, int] = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4}
PCM_ADVICE = "do channels and sample_format say what was sent?"
FIXED_PCM_ADVICE = (
    "this command takes 16 bits, stereo, 44.1 kHz (`ffmpeg … -f s16le -ac 2 -ar 44100 -`); "
    "`serve` has --sample-format, --channels and --sample-rate"
)


# How a file begins that is not raw PCM. An MP3 without tags is not here: it begins with bits that sound may have.
_FILE_STARTS: Final = (
    ("a WAV", re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL)),
    ("an AIFF", re.compile(rb"FORM....AIF[FC]", re.DOTALL)),
    ("a FLAC", re.compile(rb"fLaC\0")),
    ("an Ogg", re.compile(rb"OggS\0")),
    ("a WebM or Matroska", re.compile(rb"\x1a\x45\xdf\xa3")),
    ("a tagged MP3 or other", re.compile(rb"ID3[\2-\4].{2}[\0-\x7f]{4}", re.DOTALL)),
    ("an MP4", re.compile(rb"\0...ftyp", re.DOTALL)),
)
_FILE_START_BYTES: Final = 12


class RawPcmSource:
    """A source that reads raw PCM (interleaved samples without a header) from a byte stream, as it arrives."""

    def __init__(
        self,
        stream: BinaryIO | None = None,
        *,
        sample_rate: int = 44_100,
        channels: int = 2,
        sample_format: SampleFormat = "s16le",
        advice: str = PCM_ADVICE,
    ) -> None:
        """Check the arguments. The iteration reads the data.

        stream: None: standard input. sample_rate: Hz. advice: the last words of the error message when the data do not
        end with a whole frame.
        Raises UsageError.
        """
        if sample_format not in _BYTES:
            raise UsageError(f"no sample format {sample_format!r}; choose from {', '.join(get_args(SampleFormat))}")
        if sample_rate < 1 or channels < 1:
            raise UsageError(f"raw PCM at {sample_rate} Hz with {channels} channels cannot be; both are at least 1")
        self._stream = sys.stdin.buffer if stream is None else stream
        if self._stream.isatty():
            raise UsageError("`-` reads raw PCM from standard input, which is a terminal; pipe something into it")
        self.name = "-"
        self.dropped_samples = 0  # always: a pipe waits for its reader
        self.sample_rate = sample_rate
        self.channels = channels
        self._format = sample_format
        self._advice = advice
        self._close_event = threading.Event()

    def close(self) -> None:
        """Stop reading: the iteration ends about 0.1 s later, without an error. The byte stream stays open.

        It may be called from any thread.
        """
        self._close_event.set()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield a block for each piece of data that arrives, until the data end or `close` is called.

        Raises NotAudioError when there was not one frame or the data are a file of another format,
        TruncatedSourceError when the last frame is incomplete.
        """
        frame_bytes = _BYTES[self._format] * self.channels
        remainder = b""
        is_empty = True
        for chunk in self._refuse_other_formats(read_pipe(self._stream.fileno(), self._close_event)):
            data = remainder + chunk
            end = len(data) - len(data) % frame_bytes
            remainder = data[end:]
            if end:
                is_empty = False
                samples = _convert_samples(data[:end], self._format).reshape(-1, self.channels)
                yield Block(samples, self.sample_rate, time.time())
        if self._close_event.is_set():
            return
        if remainder:
            raise TruncatedSourceError(
                f"standard input ended {len(remainder)} bytes into a frame of {frame_bytes} "
                f"({self.channels} channels of {self._format}); {self._advice}"
            )
        if is_empty:
            raise NotAudioError("standard input ended before the first frame; pipe raw PCM into it")

    def _refuse_other_formats(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the data of `chunks`. Raises NotAudioError if they begin as a file of another format does."""
        start = b""
        for chunk in chunks:
            start += chunk
            if len(start) >= _FILE_START_BYTES:
                break
        for kind, pattern in _FILE_STARTS:
            if pattern.match(start):
                raise NotAudioError(
                    f"standard input is {kind} file, but `-` takes raw PCM; give the file by its name, or decode it: "
                    f"`… | ffmpeg -i - -f {self._format} -ac {self.channels} -ar {self.sample_rate} - | streamseg …`"
                )
        if start:
            yield start
        yield from chunks


def _convert_samples(data: bytes, sample_format: SampleFormat) -> Samples:
    """Convert bytes to float32 samples: full scale ±1, shape (n * channels,)."""
    if sample_format == "f32le":
        return np.frombuffer(data, "<f4").astype(np.float32)
    if sample_format == "s16le":
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
    if sample_format == "s32le":
        return (np.frombuffer(data, "<i4") / (1 << 31)).astype(np.float32)
    # s24le: the three bytes become the upper three of four, which keeps the sign
    padded_bytes = np.zeros((len(data) // 3, 4), np.uint8)
    padded_bytes[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return (padded_bytes.view("<i4")[:, 0] / (1 << 31)).astype(np.float32)
