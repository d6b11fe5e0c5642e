"""JAMS, an annotation format of music research; needs the library `jams` (`pip install 'streamseg[jams]'`)."""

from __future__ import annotations

from streamseg.errors import OutputError
from streamseg.outputs.recording import Recording


def render(recording: Recording) -> str:
    """Render a JAMS document: one annotation of the namespace `segment_open`, with one observation per section.

    Raises OutputError when the library is not installed.
    """
    try:
        import jams
    except ImportError:
        raise OutputError("JAMS needs the library jams: pip install 'streamseg[jams]'") from None
    end = recording.sections[-1].end
    segments = jams.Annotation(namespace="segment_open", duration=end)
    segments.annotation_metadata.annotation_tools = "streamseg"
    for section in recording.sections:
        segments.append(
            time=section.start,
            duration=section.end - section.start,
            value=section.display_name,
            confidence=section.label_confidence,
        )
    document = jams.JAMS()
    document.file_metadata.title = recording.stem
    document.file_metadata.duration = end
    document.annotations.append(segments)
    return str(document.dumps(indent=1)) + "\n"
