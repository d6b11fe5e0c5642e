"""Podcasting 2.0 JSON chapters, version 1.2.0, for podcast apps."""

from __future__ import annotations

import json

from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """Render podcast chapters as a JSON document, with one chapter per section; times are in seconds."""
    chapters = [
        {"startTime": round(section.start, 3), "endTime": round(section.end, 3), "title": section.title}
        for section in recording.sections
    ]
    return json.dumps({"version": "1.2.0", "chapters": chapters}, ensure_ascii=False, indent=2) + "\n"
