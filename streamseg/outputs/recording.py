"""What a run of one stream came to: its sections, from first to last, with every later word on them applied.

Most formats know nothing of a live stream; they want a list of sections and the name of the sound. This is
that list, made from the same events that clients see.
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

_LATEST_S: Final = 1e10  # some centuries


@dataclass(frozen=True, slots=True)
class RecordedSection:
    """One closed section; times in stream seconds. Its texts are each on one line and printable, as all formats want.

    label: what the engine calls it (None: no label). name: what a person called that label (None: nothing).
    occurrence: 1 for the first section of its label or name, 2 for the next.
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
        """The name a person gave, else the label, else `section`."""
        return self.name or self.label or "section"

    @property
    def title(self) -> str:
        """What to show people: which section, and for the how-many-eth time."""
        return f"{self.display_name} {self.occurrence}"


@dataclass(frozen=True, slots=True)
class Recording:
    """The sections of one run. `audio` is the sound's file as the run named it; `stem` is its bare name.

    sample_rate: of the sound, Hz; None when the run's start is not known. stopped: at which stream second the run
    ended, and why; None when its end is not known.
    """

    audio: str
    sections: tuple[RecordedSection, ...]
    sample_rate: int | None = None
    stopped: tuple[float, str] | None = None

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix, printable and on one line."""
        return make_one_line(PurePath(self.audio).stem) or make_one_line(self.audio) or "stream"


def collect_recording(envelopes: Iterable[Envelope]) -> Recording:
    """Collect one run. Relabellings and names reach back to the sections they concern.

    Raises AskedWrongly when the events are those of several runs (their times would overlap), and
    OutputFailed when no section was closed, or one has times that cannot be.
    """
    audio = ""
    sample_rate: int | None = None
    stopped: tuple[float, str] | None = None
    runs: set[tuple[str, str]] = set()
    closed: dict[str, SectionClosed] = {}
    labels: dict[str, str] = {}
    names: dict[str, str] = {}
    for envelope in envelopes:
        runs.add((envelope.source, envelope.epoch))
        if len(runs) > 1:
            found = ", ".join(f"{source} {epoch}" for source, epoch in sorted(runs))
            raise UsageError(f"one run is wanted, the events are of several ({found}); choose one with --epoch")
        match envelope.data:
            case StreamStarted(source=source, sample_rate=rate):
                audio, sample_rate = source, rate
            case StreamStopped(t=t, reason=reason):
                stopped = t, reason
            case SectionClosed() as section:
                if not 0.0 <= section.start <= section.end <= _LATEST_S:
                    raise OutputError(
                        f"section {section.section_id} runs from {section.start:g} to {section.end:g} s, which cannot "
                        "be: these events are damaged"
                    )
                closed[section.section_id] = section
            case SectionRelabelled(section_id=section_id, label=label):
                labels[section_id] = label
            case LabelNamed(label=label, name=name):
                names[label] = name
    if not closed:
        raise OutputError("no section was closed in these events, so there is nothing to write")
    return Recording(audio or "stream", tuple(_number_sections(closed, labels, names)), sample_rate, stopped)


def _number_sections(
    sections: dict[str, SectionClosed], labels: dict[str, str], names: dict[str, str]
) -> Iterable[RecordedSection]:
    seen: Counter[str | None] = Counter()
    for fact in sorted(sections.values(), key=lambda section: section.start):
        label = labels.get(fact.section_id, fact.label)
        name = names.get(label, fact.name) if label is not None else fact.name
        label, name = _text(label), _text(name)
        seen[name or label] += 1
        yield RecordedSection(
            section_id=make_one_line(fact.section_id),
            start=fact.start,
            end=fact.end,
            label=label,
            name=name,
            occurrence=seen[name or label],
            label_confidence=fact.label_confidence,
            ended_by=fact.ended_by,
            report=fact.report,
        )


def _text(text: str | None) -> str | None:
    """One printable line; None where nothing of it is left."""
    return None if text is None else make_one_line(text) or None
