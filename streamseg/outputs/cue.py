"""CUE sheet: one track per section, for players, burners and splitters.

A CUE time is `minutes:seconds:frames` with 75 frames per second, so boundaries are exact to 7 ms. The format cannot
escape a double quote. Its minutes have two digits; longer sounds get minutes above 99, which players accept.
"""

from __future__ import annotations

from pathlib import PurePath

from streamseg.outputs.recording import Recording
from streamseg.wire.printable import make_one_line

_CUE_FRAMES_PER_SECOND = 75
# The file types of the format. All other files are called WAVE by convention, FLAC and Ogg too.
_FILE_TYPES = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}


def render(recording: Recording) -> str:
    """Render a CUE sheet with one track per section.

    The sheet has the name of the sound file without its folder, so the two files must lie in one folder.
    """
    name = make_one_line(PurePath(recording.audio).name or recording.audio) or recording.stem
    lines = [
        f"TITLE {_quote(recording.stem)}",
        f"FILE {_quote(name)} {_FILE_TYPES.get(PurePath(name).suffix.lower(), 'WAVE')}",
    ]
    for number, section in enumerate(recording.sections, 1):
        lines += [
            f"  TRACK {number:02d} AUDIO",
            f"    TITLE {_quote(section.title)}",
            f"    INDEX 01 {_format_time(section.start)}",
        ]
    return "\n".join(lines) + "\n"


def _format_time(seconds: float) -> str:
    total_s, frames = divmod(round(seconds * _CUE_FRAMES_PER_SECOND), _CUE_FRAMES_PER_SECOND)
    return f"{total_s // 60:02d}:{total_s % 60:02d}:{frames:02d}"


def _quote(text: str) -> str:
    text = text.replace('"', "'")
    return f'"{text} "' if text.endswith("\\") else f'"{text}"'  # cuetools reads \" as an escape
