"""Facts going out to files: one small module per format, and `FORMATS`, which knows them all.

A format is a function from events to text, piece by piece. JSON lines are written as the events come; the
others are written from the whole `Recording`, since a later event may rename an earlier section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from streamseg.envelope import Envelope
from streamseg.outputs import audacity, csv, cue, jams, jsonl, lab, podcast_chapters, rekordbox, rttm, subtitles
from streamseg.outputs.recording import Recording, Section, recording_of


@dataclass(frozen=True, slots=True)
class Format:
    """How events become one kind of file: its usual suffix, its media type, and the writer."""

    suffix: str
    media_type: str
    write: Callable[[Iterable[Envelope]], Iterator[str]]


def _sheet(suffix: str, media_type: str, write: Callable[[Recording], str]) -> Format:
    def pieces(envelopes: Iterable[Envelope]) -> Iterator[str]:
        yield write(recording_of(envelopes))

    return Format(suffix, media_type, pieces)


FORMATS: dict[str, Format] = {
    "jsonl": Format(".jsonl", "application/x-ndjson", jsonl.write),
    "audacity": _sheet(".txt", "text/plain", audacity.write),
    "cue": _sheet(".cue", "application/x-cue", cue.write),
    "csv": _sheet(".csv", "text/csv", csv.write),
    "jams": _sheet(".jams", "application/json", jams.write),
    "lab": _sheet(".lab", "text/plain", lab.write),
    "podcast-chapters": _sheet(".json", "application/json+chapters", podcast_chapters.write),
    "rekordbox": _sheet(".xml", "application/xml", rekordbox.write),
    "rttm": _sheet(".rttm", "text/plain", rttm.write),
    "srt": _sheet(".srt", "application/x-subrip", subtitles.write_srt),
    "webvtt": _sheet(".vtt", "text/vtt", subtitles.write_webvtt),
}

__all__ = ["FORMATS", "Format", "Recording", "Section", "recording_of"]
