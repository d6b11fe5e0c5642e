"""Opening a file with FFmpeg: what it may be, and what to call what it is not.

FFmpeg also "plays" lists of other files, descriptions of network sessions and devices. A local file that names other
places is no recording, and following it would let a stranger's file open others (or itself, for ever). So only the
`file` protocol is allowed, and every format that opens something else is refused.
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

from streamseg.decoding.messages import FAILED, NOT_AUDIO, TRUNCATED

# They open other files, sessions or devices, or run a script
REFUSED = frozenset(
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
    }
    | {"sdp", "vapoursynth", "vobsub", "webm_dash_manifest"}
)
_SIGNATURES = (  # how the refused ones begin
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


class Unreadable(Exception):
    """The file cannot be opened. kind: of `messages.ENDINGS`; text: a predicate whose subject is the file."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def open_container(path: Path) -> InputContainer:
    """The file, opened for reading. Raises Unreadable, MemoryError."""
    options = {"protocol_whitelist": "file", "format_whitelist": _allowed_formats()}
    try:
        # "file:" keeps a name such as `mix:1.mp3` from being read as an address
        container: InputContainer = av.open(f"file:{path}", container_options=options, **_TAG_OPTIONS)
        return container
    except av.error.PermissionError:
        raise Unreadable(FAILED, "may not be read by this user; change its permissions") from None
    except MemoryError:
        raise
    except (FFmpegError, OSError):
        raise _explain(path) from None


def is_plain_file(path: Path) -> bool:
    """Whether it is a file on a disk, which may be read twice: no pipe, no device."""
    try:
        return path.is_file()
    except OSError:
        return False


@cache
def _allowed_formats() -> str:
    """Names of all formats that read one file and nothing else."""
    allowed = []
    for name in formats_available:
        try:
            known = ContainerFormat(name, "r")
        except ValueError:  # it can only be written
            continue
        if not known.no_file and name not in REFUSED:
            allowed.append(name)
    return ",".join(sorted(allowed))


def _explain(path: Path) -> Unreadable:
    """What to say of a file that FFmpeg does not open."""
    if not os.path.lexists(path):
        return Unreadable(FAILED, "has been deleted or renamed meanwhile")
    if not is_plain_file(path):
        return Unreadable(NOT_AUDIO, "gives no sound that FFmpeg knows")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as unread:
        return Unreadable(FAILED, f"cannot be read: {unread.strerror}")
    if not head:
        return Unreadable(NOT_AUDIO, "is empty (0 bytes)")
    if head[4:8] == b"ftyp":
        return Unreadable(TRUNCATED, "is cut off: its index, which stands at the end, is missing")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, kind in _SIGNATURES:
        if start.startswith(signature) or (signature[:1] == b"<" and signature in head):
            return Unreadable(NOT_AUDIO, f"is {kind}, not a recording; name a sound file itself")
    return Unreadable(NOT_AUDIO, "is not a sound file that FFmpeg knows, whatever its name says")
