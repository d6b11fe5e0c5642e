"""rekordbox XML collection: sections as memory cues on the track; File > Import, in preferences the XML's path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from streamseg.outputs.recording import Recording

_MEMORY_CUE = "-1"  # hot cues would be 0 to 7, fewer than most mixes have sections


def render(recording: Recording) -> str:
    """One `POSITION_MARK` a section; the track is found by its absolute `file://` address."""
    root = ElementTree.Element("DJ_PLAYLISTS", Version="1.0.0")
    ElementTree.SubElement(root, "PRODUCT", Name="streamseg", Version="1", Company="")
    collection = ElementTree.SubElement(root, "COLLECTION", Entries="1")
    track = ElementTree.SubElement(
        collection,
        "TRACK",
        TrackID="1",
        Name=recording.stem,
        TotalTime=str(round(recording.sections[-1].end)),
        Location=_location(recording.audio),
    )
    for section in recording.sections:
        ElementTree.SubElement(
            track, "POSITION_MARK", Name=section.title, Type="0", Start=f"{section.start:.3f}", Num=_MEMORY_CUE
        )
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _location(audio: str) -> str:
    """The file's address with its host named; bytes of a name that are no UTF-8 stay the bytes they are."""
    path = Path(audio).absolute()
    try:
        address = path.as_uri()
    except UnicodeEncodeError:  # surrogates that stand for no byte
        address = "file://" + quote(path.as_posix(), errors="replace")
    return address.replace("file://", "file://localhost", 1)
