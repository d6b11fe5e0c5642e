"""Splits a sound file into one tagged audio file per section, with pydub.

pydub keeps what it decodes in memory, so each section is decoded by itself. Lengths are counted in samples: each
section ends at the sample before the next one, and the last at the end of the sound, so the parts together are the
whole sound.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from streamseg.atomic_files import convert_write_errors, make_folder, make_write_error, write_via_temporary_file
from streamseg.errors import MissingLibraryError, OutputError, SourceError, UsageError
from streamseg.outputs.recording import Recording
from streamseg.wire.printable import REPLACEMENT, make_one_line

SplitFormat: TypeAlias = Literal["flac", "wav", "mp3", "ogg"]
SPLIT_FORMATS: tuple[SplitFormat, ...] = get_args(SplitFormat)

# Arguments of pydub's export for each format. Without parameters pydub writes WAV by itself, without tags.
_ENCODERS: dict[SplitFormat, dict[str, Any]] = {
    "flac": {"format": "flac"},
    "wav": {"format": "wav", "parameters": []},
    "mp3": {"format": "mp3", "parameters": ["-q:a", "2"]},
    "ogg": {"format": "ogg", "codec": "libvorbis", "parameters": ["-q:a", "6"]},
}
_MAX_NAME_BYTES = 200  # of the 255 that file systems allow; number and suffix need the rest


@dataclass(frozen=True, slots=True)
class SplitFile:
    """One audio file that `split_recording` wrote: its path and its duration in seconds."""

    path: Path
    duration_s: float


def list_part_paths(recording: Recording, folder: Path, audio_format: SplitFormat) -> list[Path]:
    """List the paths of the files that `split_recording` writes, one per section, such as `01 A 1.flac`.

    audio_format: one of SPLIT_FORMATS. Nothing is created.
    """
    digits = len(str(len(recording.sections)))
    return [
        folder / f"{number:0{digits}d} {_make_file_name(section.title)}.{audio_format}"
        for number, section in enumerate(recording.sections, 1)
    ]


def check_readable_twice(sound: Path) -> None:
    """Raise UsageError when the path is a pipe or a device: splitting reads a sound a second time after analysis.

    "-", by which other commands read standard input, is one too, unless a file has that name.
    """
    if str(sound) == "-" and not os.path.lexists(sound):
        raise UsageError("`-` is standard input; splitting reads a sound twice, so save it to a file first")
    if os.path.exists(sound) and not os.path.isfile(sound) and not os.path.isdir(sound):  # noqa: PTH110, PTH112, PTH113 — Path's raise where nothing may be read
        raise UsageError(f"{sound} is a pipe or a device; splitting reads a sound twice, so save it to a file first")


def split_recording(
    sound: Path, recording: Recording, folder: Path, *, audio_format: SplitFormat = "flac", replace: bool = False
) -> Iterator[SplitFile]:
    """Write each section of the file `sound` to a file of its own in `folder`; yield each file when it is written.

    recording: the sections of the sound. folder: is created if it does not exist. audio_format: one of SPLIT_FORMATS.
    replace: whether existing files may be replaced. The file names are those of `list_part_paths`;
    the tags are title, track n/total and album (the name of the sound).

    Raises MissingLibraryError without the program `ffmpeg`, SourceError when the sound cannot be decoded, OutputError
    when a file cannot be written, UsageError when one exists.
    """
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        raise MissingLibraryError(
            "splitting needs the program ffmpeg; install it: apt install ffmpeg, or brew install ffmpeg"
        )
    make_folder(folder)
    total = len(recording.sections)
    ends: list[float | None] = [section.start for section in recording.sections[1:]]
    ends.append(None)
    with tempfile.TemporaryDirectory() as temporary_folder:
        link = _link_without_suffix(sound, Path(temporary_folder))
        paths = list_part_paths(recording, folder, audio_format)
        for number, (section, end, path) in enumerate(zip(recording.sections, ends, paths, strict=True), 1):
            start = 0.0 if number == 1 else section.start
            tags = {"title": section.title, "track": f"{number}/{total}", "album": recording.stem}
            part = _cut_section(link, sound, start, end)
            with (
                write_via_temporary_file(path, replace=replace) as temporary,
                _temporary_files_in(Path(temporary_folder)),
            ):
                _export_part(part, path, temporary or path, audio_format, tags)
            yield SplitFile(path, part.frame_count() / part.frame_rate)


def _link_without_suffix(sound: Path, folder: Path) -> Path:
    """Link the sound under a name without suffix: pydub reads .wav and .raw files into memory as a whole."""
    link = folder / "sound"
    try:
        link.symlink_to(sound.absolute())
    except OSError:  # Windows, where symbolic links need a privilege
        with convert_write_errors(link):
            shutil.copyfile(sound, link)
    return link


def _cut_section(link: Path, sound: Path, start: float, end: float | None) -> Any:
    """Decode a section as pydub's AudioSegment; start and end in seconds, None for the end. Raises SourceError."""
    from pydub import AudioSegment
    from pydub.exceptions import CouldntDecodeError

    # Whole seconds are decoded and then cut by samples: FFmpeg counts the start of a slice in microseconds and pydub in
    # milliseconds, so both can be wrong by a sample.
    first_s = math.floor(start)
    try:
        part = AudioSegment.from_file(
            str(link), start_second=first_s, duration=None if end is None else math.ceil(end) - first_s
        )
    except (CouldntDecodeError, LookupError, ValueError, OSError) as error:
        # LookupError and ValueError: pydub does not check the output of ffprobe.
        reason = str(error).strip().splitlines()[-1:] or ["nothing could be decoded there"]
        raise SourceError(f"{sound}: cannot decode from {start:.2f} s on: {reason[0]}") from None
    first, last = (None if t is None else round(t * part.frame_rate) - first_s * part.frame_rate for t in (start, end))
    return part.get_sample_slice(first, last)


def _export_part(part: Any, path: Path, temporary: Path, audio_format: SplitFormat, tags: dict[str, str]) -> None:
    """Encode a part to the file `temporary`, which is renamed to `path` later. Raises OutputError."""
    from pydub.exceptions import CouldntEncodeError

    try:
        part.export(str(temporary), tags=tags, **_ENCODERS[audio_format]).close()
    except OSError as error:
        raise make_write_error(path, error) from None
    except CouldntEncodeError as error:
        reason = str(error).strip().splitlines()[-1:] or ["ffmpeg failed"]
        raise OutputError(f"cannot write {path}: {reason[0]}") from None


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Make temporary files in this folder, which is removed: pydub does not remove its own when it fails."""
    previous, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = previous


def _make_file_name(title: str) -> str:
    """The title without characters that a file system forbids, and short enough for all of them.

    Names that Windows reserves (CON, NUL) and leading dots cannot occur: a number precedes and a suffix follows.
    """
    allowed_title = re.sub(r'[\\/:*?"<>|]', "_", make_one_line(title).replace(REPLACEMENT, "_")).strip(". ")
    return allowed_title.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").rstrip(". ") or "section"
