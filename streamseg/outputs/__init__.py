"""Facts going out to files: one small module per format, and `FORMATS`, which knows them all.

A format is a function from events to text, piece by piece. JSON lines are written as the events come; the
others are written from the whole `Recording`, since a later event may rename an earlier section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from streamseg.outputs import audacity, csv, cue, jams, jsonl, lab, podcast_chapters, rekordbox, rttm, subtitles
from streamseg.outputs.recording import RecordedSection, Recording, collect_recording
from streamseg.wire.envelope import Envelope


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How events become one kind of file: its usual suffix, its media type, and the writer."""

    suffix: str
    media_type: str
    render: Callable[[Iterable[Envelope]], Iterator[str]]


def _recording_format(suffix: str, media_type: str, write: Callable[[Recording], str]) -> OutputFormat:
    def pieces(envelopes: Iterable[Envelope]) -> Iterator[str]:
        yield write(collect_recording(envelopes))

    return OutputFormat(suffix, media_type, pieces)


FORMATS: dict[str, OutputFormat] = {
    "jsonl": OutputFormat(".jsonl", "application/x-ndjson", jsonl.render),
    "audacity": _recording_format(".txt", "text/plain", audacity.render),
    "cue": _recording_format(".cue", "application/x-cue", cue.render),
    "csv": _recording_format(".csv", "text/csv", csv.render),
    "jams": _recording_format(".jams", "application/json", jams.render),
    "lab": _recording_format(".lab", "text/plain", lab.render),
    "podcast-chapters": _recording_format(".json", "application/json+chapters", podcast_chapters.render),
    "rekordbox": _recording_format(".xml", "application/xml", rekordbox.render),
    "rttm": _recording_format(".rttm", "text/plain", rttm.render),
    "srt": _recording_format(".srt", "application/x-subrip", subtitles.render_srt),
    "webvtt": _recording_format(".vtt", "text/vtt", subtitles.render_webvtt),
}

__all__ = ["FORMATS", "OutputFormat", "RecordedSection", "Recording", "collect_recording"]
