"""Sound sources: microphone, audio file, raw PCM; playback of a file in real time; capture of a source to a file.

Iterating a source yields the items of `streamseg.blocks`: blocks, gaps, absences and titles. `open_source` opens what a
user writes:

    mic             the default input device          mic:USB      the input device with "USB" in its name
    some/file.mp3   any file that FFmpeg can read     -            raw PCM on standard input
    name=SOURCE     any of these, as stream `name` (`parse_source`)
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from streamseg.blocks import Source
from streamseg.errors import UsageError
from streamseg.sources.audio_file import AudioFileSource
from streamseg.sources.capture import CapturingSource
from streamseg.sources.devices import InputDeviceInfo, list_devices
from streamseg.sources.microphone import Microphone
from streamseg.sources.pcm import FIXED_PCM_ADVICE, PCM_ADVICE, RawPcmSource, SampleFormat
from streamseg.sources.playback import PacedSource

__all__ = [
    "FIXED_PCM_ADVICE",
    "AudioFileSource",
    "CapturingSource",
    "InputDeviceInfo",
    "Microphone",
    "PacedSource",
    "RawPcmSource",
    "SampleFormat",
    "list_devices",
    "open_source",
    "parse_source",
]

_STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class NamedSource(NamedTuple):
    """A parsed source argument: the name of the stream, and the source in the form that `open_source` takes."""

    stream_name: str
    source: str


def parse_source(spec: str) -> NamedSource:
    """Parse a source argument of the command line, `name=SOURCE` or `SOURCE`, without opening the source.

    Without `name=`, the stream is named after its source. If a file exists whose whole name is `name=SOURCE`, that file
    is the source. Raises UsageError when a source that exists follows a name that is not allowed.
    """
    name, equals, source = spec.partition("=")
    if equals and source and _STREAM_NAME.fullmatch(name) and not _path_exists(spec):
        return NamedSource(name, source)
    if equals and source and not _path_exists(spec) and _is_source(source):
        raise UsageError(
            f"{name!r} cannot name a stream; use 1 to 64 of the characters A-Z a-z 0-9 _ . - beginning with a letter "
            f"or digit, as in studio={source}"
        )
    if spec == "-":
        return NamedSource("stdin", spec)
    if spec == "mic" or spec.startswith("mic:"):
        return NamedSource("mic", spec)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(spec).stem).strip("-.")[:64]
    return NamedSource(stem or "stream", spec)


def _is_source(spec: str) -> bool:
    return spec in ("-", "mic") or spec.startswith("mic:") or Path(spec).is_file()


def _path_exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a file name, or in a folder without read permission
        return False


def open_source(
    spec: str,
    *,
    live: bool = False,
    fast: bool = False,
    save: Path | str | None = None,
    sample_rate: int | None = None,
    channels: int | None = None,
    sample_format: SampleFormat = "s16le",
    pcm_advice: str = PCM_ADVICE,
) -> Source:
    """Open a microphone, a file or standard input, as `spec` says: "mic", "mic:NAME", a path, or "-".

    live: play a file in real time, through the ring buffer that a microphone uses; False: read it as fast as the reader
    takes it. Microphones and standard input are always live.
    fast: with `live`, play a file through the ring buffer without pacing.
    save: a WAV file to which the sound is also written, so that it can be analysed again; None: do not write it.
    sample_rate (Hz), channels: of a microphone (None: its own) or of raw PCM (None: 44,100 Hz, 2 channels); ignored for
    a file. sample_format: of raw PCM. pcm_advice: advice on these three arguments, which ends the error message when
    the bytes of raw PCM do not make whole frames.

    Raises UsageError and its subclasses DeviceNotFoundError and SourceNotFoundError; SourceError; MissingLibraryError.
    """
    source: Source
    if spec == "-":
        source = RawPcmSource(
            sample_rate=sample_rate or 44_100, channels=channels or 2, sample_format=sample_format, advice=pcm_advice
        )
    elif spec == "mic" or spec.startswith("mic:"):
        source = Microphone(spec[4:] or None, sample_rate=sample_rate, channels=channels)
    elif _ADDRESS.match(spec) and not _path_exists(spec):
        raise UsageError(
            f"{spec!r} is an address; this version listens to mic, mic:NAME, a file or - only; pipe it: "
            f"`ffmpeg -i {shlex.quote(spec)} -f s16le -ac 2 -ar 44100 - | streamseg … -`"
        )
    else:
        source = AudioFileSource(spec)
        if live:
            source = PacedSource(source, source.name, fast=fast)
    return CapturingSource(source, save) if save is not None else source
