"""One tagged audio file per section, cut from the sound itself by pydub.

pydub holds what it decodes in memory, so each section is decoded by itself; a whole evening never is. Lengths are
counted in samples: section n ends at the sample before section n + 1 begins, and the last runs to the
sound's own end, so the parts put together are the whole.
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
from typing import Any

from streamseg.destinations import make_folder, make_write_error, replace_atomically
from streamseg.errors import MissingLibraryError, OutputError, SourceError, UsageError
from streamseg.outputs.recording import Recording
from streamseg.wire.printable import REPLACEMENT, make_one_line

# What each format is to FFmpeg; pydub writes an untagged WAV by itself unless it is given parameters.
_ENCODERS: dict[str, dict[str, Any]] = {
    "flac": {"format": "flac"},
    "wav": {"format": "wav", "parameters": []},
    "mp3": {"format": "mp3", "parameters": ["-q:a", "2"]},
    "ogg": {"format": "ogg", "codec": "libvorbis", "parameters": ["-q:a", "6"]},
}
_LONGEST_NAME_BYTES = 200  # a file system takes 255; number and suffix want theirs
SPLIT_FORMATS = tuple(_ENCODERS)


@dataclass(frozen=True, slots=True)
class SplitFile:
    """One written file: its place, and its length in seconds."""

    path: Path
    duration_s: float


def part_paths(recording: Recording, folder: Path, audio_format: str) -> list[Path]:
    """The file of each section: `01 A 1.flac`, number, then the section's title."""
    digits = len(str(len(recording.sections)))
    return [
        folder / f"{number:0{digits}d} {_make_file_name(section.title)}.{audio_format}"
        for number, section in enumerate(recording.sections, 1)
    ]


def check_readable_twice(sound: Path) -> None:
    """Raise AskedWrongly for a pipe or a device: what was read from it once cannot be cut."""
    if os.path.exists(sound) and not os.path.isfile(sound) and not os.path.isdir(sound):  # noqa: PTH110, PTH112, PTH113 — Path's raise where nothing may be read
        raise UsageError(f"{sound} is a pipe or a device, and cutting reads a sound again; save it to a file first")


def split_recording(
    sound: Path, recording: Recording, folder: Path, *, audio_format: str = "flac", replace: bool = False
) -> Iterator[SplitFile]:
    """Write the sections of `recording`, found in `sound`, into `folder`, each as it is yielded.

    audio_format: one of SPLIT_FORMATS. replace: existing files give way. Files are named as `part_paths` says.
    Tags: title, track n/total, album (the sound's name). Raises SystemPartMissing without the `ffmpeg`
    program, SourceFailed when the sound cannot be decoded, OutputFailed when a file cannot be written, AskedWrongly
    when one exists.
    """
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        raise MissingLibraryError(
            "cutting needs the ffmpeg program; install it: apt install ffmpeg, or brew install ffmpeg"
        )
    make_folder(folder)
    total = len(recording.sections)
    ends: list[float | None] = [section.start for section in recording.sections[1:]]
    ends.append(None)
    with tempfile.TemporaryDirectory() as aside:
        # Whatever is named .wav or .raw, pydub reads as a whole by itself; under a neutral name it leaves
        # the decoding, slice by slice, to FFmpeg.
        link = Path(aside) / "sound"
        link.symlink_to(sound.absolute())
        paths = part_paths(recording, folder, audio_format)
        for number, (section, end, path) in enumerate(zip(recording.sections, ends, paths, strict=True), 1):
            start = 0.0 if number == 1 else section.start
            tags = {"title": section.title, "track": f"{number}/{total}", "album": recording.stem}
            part = _cut_section(link, sound, start, end)
            with replace_atomically(path, replace=replace) as beside, _temporary_files_in(Path(aside)):
                _export(part, path, beside or path, audio_format, tags)
            yield SplitFile(path, part.frame_count() / part.frame_rate)


def _cut_section(link: Path, sound: Path, start: float, end: float | None) -> Any:
    """A stretch of the sound as pydub's AudioSegment. Raises SourceFailed."""
    from pydub import AudioSegment
    from pydub.exceptions import CouldntDecodeError

    # Decoded from second to second and then cut by samples: FFmpeg counts a slice's start in microseconds and
    # pydub in milliseconds, and both are a sample off now and then.
    first_s = math.floor(start)
    try:
        part = AudioSegment.from_file(
            str(link), start_second=first_s, duration=None if end is None else math.ceil(end) - first_s
        )
    except (CouldntDecodeError, LookupError, ValueError, OSError) as error:  # pydub reads what ffprobe says unchecked
        reason = str(error).strip().splitlines()[-1:] or ["nothing could be decoded there"]
        raise SourceError(f"{sound}: cannot decode from {start:.2f} s on: {reason[0]}") from None
    first, last = (None if t is None else round(t * part.frame_rate) - first_s * part.frame_rate for t in (start, end))
    return part.get_sample_slice(first, last)


def _export(part: Any, path: Path, written: Path, audio_format: str, tags: dict[str, str]) -> None:
    """Encode a part to the file `written`, which will be called `path`. Raises OutputFailed."""
    from pydub.exceptions import CouldntEncodeError

    try:
        part.export(str(written), tags=tags, **_ENCODERS[audio_format]).close()
    except OSError as error:
        raise make_write_error(path, error) from None
    except CouldntEncodeError as error:
        reason = str(error).strip().splitlines()[-1:] or ["ffmpeg failed"]
        raise OutputError(f"cannot write {path}: {reason[0]}") from None


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let temporary files go with this folder: pydub leaves them behind when it fails."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _make_file_name(title: str) -> str:
    """A title without what some file system forbids, and short enough for all of them.

    A number stands in front and a suffix behind, so names that Windows keeps for itself (CON, NUL) and leading dots
    cannot come about.
    """
    allowed = re.sub(r'[\\/:*?"<>|]', "_", make_one_line(title).replace(REPLACEMENT, "_")).strip(". ")
    return allowed.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore").rstrip(". ") or "section"
