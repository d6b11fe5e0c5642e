"""The world coming in: one module per kind of source, each giving blocks, gaps, absences and titles.

`open_source` understands what a user writes:

    mic             the default input device          mic:USB      the one whose name holds "USB"
    some/file.mp3   any file FFmpeg can read          -            raw PCM on standard input
    name=SOURCE     any of these, as stream `name` (`parse_spec`)
"""

from __future__ import annotations

import re
from pathlib import Path

from streamseg.blocks import Source
from streamseg.errors import UsageError
from streamseg.sources.audio_file import AudioFileSource
from streamseg.sources.capture import RecordedSource
from streamseg.sources.devices import InputDevice, list_devices
from streamseg.sources.microphone import Microphone
from streamseg.sources.pcm import FIXED_PCM_ADVICE, PCM_ADVICE, RawPcmSource, SampleFormat
from streamseg.sources.playback import PlaybackSource

__all__ = [
    "FIXED_PCM_ADVICE",
    "AudioFileSource",
    "InputDevice",
    "Microphone",
    "PlaybackSource",
    "RawPcmSource",
    "RecordedSource",
    "SampleFormat",
    "list_devices",
    "open_source",
    "parse_source",
]

_STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def parse_source(spec: str) -> tuple[str, str]:
    """The stream's name and the source of `name=SOURCE` or `SOURCE`; unnamed, a stream is called after its source.

    A file whose own name holds `=` is taken as the file it is. Raises AskedWrongly for a name that cannot be a
    stream's in front of a source that exists.
    """
    name, equals, rest = spec.partition("=")
    if equals and rest and _STREAM_NAME.fullmatch(name) and not _exists(spec):
        return name, rest
    if equals and rest and not _exists(spec) and _is_source(rest):
        raise UsageError(
            f"{name!r} cannot name a stream; use 1 to 64 of the characters A-Z a-z 0-9 _ . - beginning with a letter "
            f"or digit, as in studio={rest}"
        )
    if spec == "-":
        return "stdin", spec
    if spec == "mic" or spec.startswith("mic:"):
        return "mic", spec
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(spec).stem).strip("-.")[:64]
    return stem or "stream", spec


def _is_source(spec: str) -> bool:
    return spec in ("-", "mic") or spec.startswith("mic:") or Path(spec).is_file()


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a name, or in a folder that may not be read
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
    """The source that `spec` (without a stream's name) stands for.

    live: files are played in real time, through the ring that a microphone uses; with `fast`, through the
    same ring as fast as they are read. Microphones and standard input are live by themselves.
    save: write what comes to this WAV file, to be analysed again.
    sample_rate (Hz), channels: what to ask of a microphone (its own by default), and what raw PCM consists of
    (44,100 Hz, 2 channels by default); sample_format: of raw PCM. A file says these itself.
    pcm_advice: how to say these otherwise, for the message that raw PCM did not fit.

    Raises AskedWrongly and its kinds (DeviceNotFound, SourceNotFound), SourceFailed, SystemPartMissing.
    """
    source: Source
    if spec == "-":
        source = RawPcmSource(
            sample_rate=sample_rate or 44_100, channels=channels or 2, sample_format=sample_format, advice=pcm_advice
        )
    elif spec == "mic" or spec.startswith("mic:"):
        source = Microphone(spec[4:] or None, sample_rate=sample_rate, channels=channels)
    elif _ADDRESS.match(spec) and not _exists(spec):
        raise UsageError(f"{spec!r} is an address; this version listens to mic, mic:NAME, a file or - only")
    else:
        source = AudioFileSource(spec)
        if live:
            source = PlaybackSource(source, source.name, fast=fast)
    return RecordedSource(source, save) if save is not None else source
