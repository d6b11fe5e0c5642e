"""RTTM (NIST): what diarization tools read; each label stands where they have a speaker."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """One `SPEAKER` line a section: file, channel, start, duration, label."""
    file = "_".join(recording.stem.split())
    return "".join(
        f"SPEAKER {file} 1 {section.start:.3f} {section.end - section.start:.3f} "
        f"<NA> <NA> {'_'.join(section.display_name.split())} <NA> <NA>\n"
        for section in recording.sections
    )
