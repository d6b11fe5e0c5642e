"""Audacity label track: `start<TAB>end<TAB>label`, seconds; File > Import > Labels."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """One label a section."""
    return "".join(f"{section.start:.6f}\t{section.end:.6f}\t{section.title}\n" for section in recording.sections)
