"""Audacity label track: `start<TAB>end<TAB>label`, in seconds; opened by File > Import > Labels."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """Render the text of an Audacity label track, with one label per section."""
    return "".join(f"{section.start:.6f}\t{section.end:.6f}\t{section.title}\n" for section in recording.sections)
