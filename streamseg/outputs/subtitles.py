"""WebVTT and SubRip: one caption per section, for the chapter track of a web player or for a video."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render_webvtt(recording: Recording) -> str:
    """Render the text of a WebVTT file, one caption per section, identified by the id of the section."""
    return "WEBVTT\n" + "".join(
        f"\n{_without_arrow(section.section_id)}\n"
        f"{_format_time(section.start, '.')} --> {_format_time(section.end, '.')}\n"
        f"{_escape(section.title)}\n"
        for section in recording.sections
    )


def render_srt(recording: Recording) -> str:
    """Render the text of a SubRip file, one caption per section, numbered from 1."""
    return "\n".join(
        f"{number}\n{_format_time(section.start, ',')} --> {_format_time(section.end, ',')}\n"
        f"{_without_arrow(section.title)}\n"
        for number, section in enumerate(recording.sections, 1)
    )


def _format_time(seconds: float, decimal_mark: str) -> str:
    total_s, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{total_s // 3600:02d}:{total_s // 60 % 60:02d}:{total_s % 60:02d}{decimal_mark}{milliseconds:03d}"


def _without_arrow(text: str) -> str:
    """Replace `-->`, which may stand only in a line of times."""
    return text.replace("-->", "→")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
