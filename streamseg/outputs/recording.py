"""The sections of one run, collected from its events, with later labels and names applied.

Most formats are lists of sections with the name of the sound. They are rendered from a `Recording`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from streamseg.errors import OutputError, UsageError
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import LabelNamed, Report, SectionClosed, SectionRelabelled, StreamStarted, StreamStopped
from streamseg.wire.printable import make_one_line

_MAX_TIME_S: Final = 1e10  # about 300 years


@dataclass(frozen=True, slots=True)
class RecordedSection:
    """One closed section of a run: start and end in stream seconds, label, name, and report (description of the sound).

    All texts are printable and have one line each.

    label: what the engine assigned, None if nothing. name: what a user called the label, None if nothing.
    occurrence: 1 for the first section with this name or label, 2 for the next. label_confidence: 0 to 1, None without
    a label.
    """

    section_id: str
    start: float
    end: float
    label: str | None
    name: str | None
    occurrence: int
    label_confidence: float | None
    ended_by: str
    report: Report

    @property
    def display_name(self) -> str:
        """The name that a user gave; if there is no name, the label; if there is no label, the word `section`."""
        return self.name or self.label or "section"

    @property
    def title(self) -> str:
        """The display name and the occurrence number: `A 2` is the second section with the display name `A`."""
        return f"{self.display_name} {self.occurrence}"


@dataclass(frozen=True, slots=True)
class Recording:
    """The results of one run, collected from its events: its sections in the order of time, and the name of its source.

    audio: the name of the source in the events. sample_rate: of the source, Hz; None when the events lack the start
    of the run. stop: stream seconds at which the run ended, and the reason; None when the events lack the end.
    """

    audio: str
    sections: tuple[RecordedSection, ...]
    sample_rate: int | None = None
    stop: tuple[float, str] | None = None

    @property
    def stem(self) -> str:
        """The file name of the source, without folder and suffix, as one printable line."""
        return make_one_line(PurePath(self.audio).stem) or make_one_line(self.audio) or "stream"


def collect_recording(envelopes: Iterable[Envelope]) -> Recording:
    """Collect the sections of one run from its events; apply the labels and names that later events give.

    Raises UsageError when the events are of several runs; OutputError when no section was closed, or when the times of
    a section are impossible.
    """
    audio = ""
    sample_rate: int | None = None
    stop: tuple[float, str] | None = None
    runs: set[tuple[str, str]] = set()
    closed_sections: dict[str, SectionClosed] = {}
    labels: dict[str, str] = {}
    names: dict[str, str] = {}
    for envelope in envelopes:
        runs.add((envelope.source, envelope.epoch))
        if len(runs) > 1:
            names_of_runs = ", ".join(f"{source} {epoch}" for source, epoch in sorted(runs))
            raise UsageError(f"these are the events of several runs ({names_of_runs}); choose one with --epoch")
        match envelope.data:
            case StreamStarted(source=source, sample_rate=rate):
                audio, sample_rate = source, rate
            case StreamStopped(t=t, reason=reason):
                stop = t, reason
            case SectionClosed() as section:
                if not 0.0 <= section.start <= section.end <= _MAX_TIME_S:
                    raise OutputError(
                        f"section {section.section_id} has impossible times, {section.start:g} to {section.end:g} s: "
                        "these events are damaged"
                    )
                closed_sections[section.section_id] = section
            case SectionRelabelled(section_id=section_id, label=label):
                labels[section_id] = label
            case LabelNamed(label=label, name=name):
                names[label] = name
    if not closed_sections:
        raise OutputError("no section was closed in these events, so there is nothing to write")
    return Recording(audio or "stream", tuple(_number_sections(closed_sections, labels, names)), sample_rate, stop)


def _number_sections(
    sections: dict[str, SectionClosed], labels: dict[str, str], names: dict[str, str]
) -> Iterable[RecordedSection]:
    """Yield the sections in the order of time, each with its latest label and name, and its occurrence."""
    occurrences: Counter[str | None] = Counter()
    for section in sorted(sections.values(), key=lambda section: section.start):
        label = labels.get(section.section_id, section.label)
        name = names.get(label, section.name) if label is not None else section.name
        label, name = _clean_text(label), _clean_text(name)
        occurrences[name or label] += 1
        yield RecordedSection(
            section_id=make_one_line(section.section_id),
            start=section.start,
            end=section.end,
            label=label,
            name=name,
            occurrence=occurrences[name or label],
            label_confidence=section.label_confidence,
            ended_by=section.ended_by,
            report=section.report,
        )


def _clean_text(text: str | None) -> str | None:
    """Return the text as one printable line; None when nothing is left of it."""
    return None if text is None else make_one_line(text) or None
