"""Counts what the summary line at the end of a command shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from streamseg.wire.envelope import Envelope
from streamseg.wire.events import BoundaryConfirmed, SectionClosed, StreamGap, StreamStopped
from streamseg.wire.printable import make_printable


class EventSummary:
    """Counts boundaries, sections and seconds of lost sound of one stream; `str(summary)` returns them as one line."""

    def __init__(self) -> None:
        self.t = 0.0
        self.boundaries = 0
        self.missing_s = 0.0
        self._sections: Counter[str] = Counter()

    def add_events(self, envelopes: Iterable[Envelope]) -> None:
        """Count the boundaries, sections and lost seconds in these new events of the stream."""
        for envelope in envelopes:
            match envelope.data:
                case BoundaryConfirmed():
                    self.boundaries += 1
                case SectionClosed(label=label, end=end):
                    self._sections[label or "?"] += 1
                    self.t = end
                case StreamGap(missing_s=missing_s):
                    self.missing_s += missing_s
                case StreamStopped(t=t):
                    self.t = t

    def __str__(self) -> str:
        from streamseg.cli.terminal import format_clock, format_count

        sections = sum(self._sections.values())
        changes = format_count(self.boundaries, "change")
        parts = [f"{format_clock(self.t)} processed", changes, format_count(sections, "section")]
        most = [f"{make_printable(label)} {count} ×" for label, count in self._sections.most_common(6)]
        if most:
            more = ", …" if len(self._sections) > len(most) else ""
            parts[-1] += f" ({', '.join(most)}{more})"
        if self.missing_s:
            parts.append(f"{self.missing_s:.2f} s lost")
        return ", ".join(parts)
