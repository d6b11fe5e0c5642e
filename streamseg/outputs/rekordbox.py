"""rekordbox XML collection: one memory cue per section. The path of the XML is set in the preferences of rekordbox."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from streamseg.outputs.recording import Recording

_MEMORY_CUE = "-1"  # hot cues are 0 to 7; most mixes have more sections


def render(recording: Recording) -> str:
    """Render a rekordbox XML collection of one track, with one memory cue (`POSITION_MARK`) per section.

    The absolute `file://` address of the sound file identifies the track.
    """
    root = ElementTree.Element("DJ_PLAYLISTS", Version="1.0.0")
    ElementTree.SubElement(root, "PRODUCT", Name="streamseg", Version="1", Company="")
    collection = ElementTree.SubElement(root, "COLLECTION", Entries="1")
    track = ElementTree.SubElement(
        collection,
        "TRACK",
        TrackID="1",
        Name=recording.stem,
        TotalTime=str(round(recording.sections[-1].end)),
        Location=_make_address(recording.audio),
    )
    for section in recording.sections:
        ElementTree.SubElement(
            track, "POSITION_MARK", Name=section.title, Type="0", Start=f"{section.start:.3f}", Num=_MEMORY_CUE
        )
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _make_address(audio: str) -> str:
    """The `file://localhost` address of the file; bytes of the name that are not UTF-8 are kept."""
    path = Path(audio).absolute()
    try:
        address = path.as_uri()
    except UnicodeEncodeError:  # surrogates that stand for no byte
        address = "file://" + quote(path.as_posix(), errors="replace")
    return address.replace("file://", "file://localhost", 1)
