"""CUE sheet: a track a section. Players and burners jump to them, and splitters cut at them.

A CUE time is `minutes:seconds:frames` of 75 frames a second, so a boundary is kept to 7 ms. The format has no
way to escape a double quote and none to say a longer sound than minutes can count; minutes simply go past 99,
as players read them.
"""

from __future__ import annotations

from pathlib import PurePath

from streamseg.outputs.recording import Recording
from streamseg.printable import one_line

FRAMES_PER_SECOND = 75
# All that the format can name; everything that is not MP3 or AIFF is by custom called WAVE, FLAC and Ogg too.
_FILE_TYPES = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}


def write(recording: Recording) -> str:
    """The sheet, to lie beside the sound: it names the file without its folder."""
    name = one_line(PurePath(recording.audio).name or recording.audio) or recording.stem
    lines = [
        f"TITLE {_quoted(recording.stem)}",
        f"FILE {_quoted(name)} {_FILE_TYPES.get(PurePath(name).suffix.lower(), 'WAVE')}",
    ]
    for number, section in enumerate(recording.sections, 1):
        lines += [
            f"  TRACK {number:02d} AUDIO",
            f"    TITLE {_quoted(section.title)}",
            f"    INDEX 01 {_time(section.start)}",
        ]
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    whole, frames = divmod(round(seconds * FRAMES_PER_SECOND), FRAMES_PER_SECOND)
    return f"{whole // 60:02d}:{whole % 60:02d}:{frames:02d}"


def _quoted(text: str) -> str:
    text = text.replace('"', "'")
    return f'"{text} "' if text.endswith("\\") else f'"{text}"'  # cuetools reads \" as an escape
