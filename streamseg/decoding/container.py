"""Opens a sound file with FFmpeg, and describes why a file cannot be opened.

FFmpeg also "plays" lists of other files, descriptions of network sessions, and devices. Such a file is not a recording,
and following it would let a stranger's file open other files (or itself, in an endless loop). So only the `file`
protocol is allowed, and every format that opens something else is refused.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import ContainerFormat, formats_available

from streamseg.decoding.messages import FAILURE, NOT_AUDIO, TRUNCATION

# Formats that open other files, sessions or devices, or run a script
REFUSED_DEMUXERS = frozenset(
    {
        "avisynth",
        "concat",
        "concatf",
        "dash",
        "hls",
        "image2",
        "image2pipe",
        "imf",
        "lavfi",
        "mlv",
        "rtp",
        "rtsp",
        "sap",
        "sdp",
        "vapoursynth",
        "vobsub",
        "webm_dash_manifest",
    }
)
_SIGNATURES = (  # first bytes of files in the refused formats
    (b"#EXTM3U", "a playlist (HLS or M3U)"),
    (b"ffconcat", "a list of files (ffconcat)"),
    (b"v=0", "the description of a network session (SDP)"),
    (b"<MPD", "a playlist (DASH)"),
    (b"<AssetMap", "a list of files (IMF)"),
    (b"<CompositionPlaylist", "a list of files (IMF)"),
)
_HEAD_BYTES = 4096
# Tags may be in any encoding. Since version 19 PyAV reads all of them, and no longer takes the argument.
_TAG_OPTIONS: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


class UnreadableFileError(Exception):
    """FFmpeg cannot open the sound file; `text` is the reason.

    ending: one of `messages.ENDINGS`. text: the reason, a predicate whose subject is the file, such as "is empty".
    """

    def __init__(self, ending: str, text: str) -> None:
        super().__init__(text)
        self.ending = ending
        self.text = text


def open_container(path: Path) -> InputContainer:
    """Open a sound file with FFmpeg for reading. Raises UnreadableFileError, MemoryError."""
    options = {"protocol_whitelist": "file", "format_whitelist": _list_allowed_formats()}
    try:
        # "file:": a name such as `mix:1.mp3` is not parsed as an address
        container: InputContainer = av.open(f"file:{path}", container_options=options, **_TAG_OPTIONS)
        return container
    except av.error.PermissionError:
        raise UnreadableFileError(FAILURE, "may not be read by this user; change its permissions") from None
    except MemoryError:
        raise
    except (FFmpegError, OSError):
        raise diagnose_open_failure(path) from None


def is_regular_file(path: Path) -> bool:
    """Return whether the path is a file on a disk; False for a pipe or a device, which cannot be read twice."""
    try:
        return path.is_file()
    except OSError:
        return False


@cache
def _list_allowed_formats() -> str:
    """List the formats that read one file and nothing else, as FFmpeg's option expects it: names with commas."""
    names = []
    for name in formats_available:
        try:
            demuxer = ContainerFormat(name, "r")
        except ValueError:  # FFmpeg can only write this format
            continue
        if not demuxer.no_file and name not in REFUSED_DEMUXERS:
            names.append(name)
    return ",".join(sorted(names))


def diagnose_open_failure(path: Path) -> UnreadableFileError:
    """Find out why FFmpeg could not open a file; returns the error for the caller to raise."""
    if not os.path.lexists(path):
        return UnreadableFileError(FAILURE, "has been deleted or renamed meanwhile")
    if not is_regular_file(path):
        return UnreadableFileError(NOT_AUDIO, "gives no sound that FFmpeg knows")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        return UnreadableFileError(FAILURE, f"cannot be read: {error.strerror}")
    if not head:
        return UnreadableFileError(NOT_AUDIO, "is empty (0 bytes)")
    if head[4:8] == b"ftyp":
        return UnreadableFileError(TRUNCATION, "is cut off: its index, which stands at the end, is missing")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, kind in _SIGNATURES:
        if start.startswith(signature) or (signature[:1] == b"<" and signature in head):
            return UnreadableFileError(NOT_AUDIO, f"is {kind}, not a recording; name a sound file itself")
    return UnreadableFileError(NOT_AUDIO, "is not a sound file that FFmpeg knows, whatever its name says")
