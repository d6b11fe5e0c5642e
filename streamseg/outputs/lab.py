"""MIREX `.lab`: `start end label`, in seconds; read by mir_eval and used by most annotated data sets."""

from __future__ import annotations

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """Render the text of a `.lab` file: one line per section, with start, end, and name or label.

    Times are in seconds. White space in a name becomes `_`.
    """
    return "".join(
        f"{section.start:.6f}\t{section.end:.6f}\t{'_'.join(section.display_name.split())}\n"
        for section in recording.sections
    )
