"""MIREX `.lab`: `start end label`, seconds; what mir_eval and the annotation sets of the field read."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """One line a section, with the bare label: white space separates columns, so a label has none."""
    return "".join(
        f"{section.start:.6f}\t{section.end:.6f}\t{'_'.join(section.display_name.split())}\n"
        for section in recording.sections
    )
