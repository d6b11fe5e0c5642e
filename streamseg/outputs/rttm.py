"""RTTM (NIST), the format of speaker diarization, with the label in place of the speaker."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """Render the text of an RTTM file, one `SPEAKER` line per section: file, channel, start, duration, label.

    Times are in seconds. White space in a name becomes `_`.
    """
    file = "_".join(recording.stem.split())
    return "".join(
        f"SPEAKER {file} 1 {section.start:.3f} {section.end - section.start:.3f} "
        f"<NA> <NA> {'_'.join(section.display_name.split())} <NA> <NA>\n"
        for section in recording.sections
    )
