"""File formats for the results: one module per format, and `FORMATS`, the table of all of them.

A format is a function from events to pieces of text. JSON lines are written as the events come; the other formats are
written from the whole `Recording`, since a later event can relabel an earlier section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from streamseg.outputs import audacity, csv, cue, jams, jsonl, lab, podcast_chapters, rekordbox, rttm, subtitles
from streamseg.outputs.recording import RecordedSection, Recording, collect_recording
from streamseg.wire.envelope import Envelope


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A file format for results: its file suffix, its media type, and the function that renders events in it.

    suffix: the usual one, with its dot. media_type: for HTTP. render: the function that converts the events of a stream
    to the text of the file, in pieces.
    """

    suffix: str
    media_type: str
    render: Callable[[Iterable[Envelope]], Iterator[str]]


def _make_recording_format(suffix: str, media_type: str, render_recording: Callable[[Recording], str]) -> OutputFormat:
    """Make the format of a function that renders a whole recording."""

    def render(envelopes: Iterable[Envelope]) -> Iterator[str]:
        yield render_recording(collect_recording(envelopes))

    return OutputFormat(suffix, media_type, render)


FORMATS: dict[str, OutputFormat] = {
    "jsonl": OutputFormat(".jsonl", "application/x-ndjson", jsonl.render),
    "audacity": _make_recording_format(".txt", "text/plain", audacity.render),
    "cue": _make_recording_format(".cue", "application/x-cue", cue.render),
    "csv": _make_recording_format(".csv", "text/csv", csv.render),
    "jams": _make_recording_format(".jams", "application/json", jams.render),
    "lab": _make_recording_format(".lab", "text/plain", lab.render),
    "podcast-chapters": _make_recording_format(".json", "application/json+chapters", podcast_chapters.render),
    "rekordbox": _make_recording_format(".xml", "application/xml", rekordbox.render),
    "rttm": _make_recording_format(".rttm", "text/plain", rttm.render),
    "srt": _make_recording_format(".srt", "application/x-subrip", subtitles.render_srt),
    "webvtt": _make_recording_format(".vtt", "text/vtt", subtitles.render_webvtt),
}

__all__ = ["FORMATS", "OutputFormat", "RecordedSection", "Recording", "collect_recording"]
