"""The live view of one stream in a terminal: the current section, a ribbon of sections, the level, the last events."""

from __future__ import annotations

import time
from collections import deque

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from streamseg.cli import terminal
from streamseg.cli.summary import EventSummary
from streamseg.live.session import Session
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    MeterReading,
    Novelty,
    SectionClosed,
    SectionUpdated,
)
from streamseg.wire.printable import make_printable

RIBBON_S = 240.0  # the past that the ribbon shows
_LINES = 8
_DRAW_INTERVAL_S = 0.1
_MIN_DB = -60.0


class LiveScreen:
    """Draws the state of one stream in the terminal, at most ten times a second, less often if drawing is slow.

    The event loop that serves clients also draws, so drawing takes at most a fifth of the time.
    """

    def __init__(self, source: str) -> None:
        """source: the name of the source, for the title."""
        self.summary = EventSummary()
        self._source = source
        self._draw_at = 0.0
        self._address = ""
        self._t = 0.0
        self._rms_db: float | None = None
        self._label: str | None = None
        self._start = 0.0
        self._provisional_t: float | None = None
        self._sections: deque[tuple[float, float, str | None]] = deque(maxlen=1000)
        self._event_lines = terminal.EventLines()
        self._lines: deque[Text] = deque(maxlen=_LINES)
        self._live = Live(console=terminal.stdout, auto_refresh=False)

    def set_page_url(self, page_url: str) -> None:
        """Set the URL of the server's page, which every later drawing shows."""
        self._address = page_url

    def show_events(self, _: Session, envelopes: list[Envelope]) -> None:
        """Update the state with new events of the session, and draw it unless the last drawing was too recent."""
        self.add_events_without_drawing(envelopes)
        start = time.monotonic()
        if start >= self._draw_at:
            self._draw()
            now = time.monotonic()
            self._draw_at = now + max(_DRAW_INTERVAL_S, 4 * (now - start))

    def _draw(self) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.render(terminal.stdout.width), refresh=True)

    def add_events_without_drawing(self, envelopes: list[Envelope]) -> None:
        """Update the state to be drawn next with new events of the stream; draw nothing."""
        self.summary.add_events(envelopes)
        for envelope in envelopes:
            match envelope.data:
                case MeterReading(t=t, rms_db=rms_db):
                    self._t, self._rms_db = t, rms_db
                case Novelty(label=label):
                    self._label = label
                case SectionUpdated(label=label):
                    self._label = label
                case BoundaryProvisional(t=t):
                    self._provisional_t = t
                case BoundaryConfirmed(t=t, next=next_section):
                    self._start, self._label, self._provisional_t = t, next_section.label, None
                case SectionClosed(start=start, end=end, label=label):
                    self._sections.append((start, end, label))
            text = self._event_lines.describe_event(envelope)
            if text is not None:
                self._lines.append(text)

    def draw_final_state_and_print_summary(self) -> None:
        """Draw the final state, which stays on the terminal, and print the summary to standard error."""
        self._draw()
        self._live.stop()
        terminal.stderr.print(f"{self.summary}")

    def render(self, width: int) -> RenderableType:
        """Return the current state as a Rich panel, `width` characters wide."""
        inner = max(20, width - 4)
        now = terminal.label_text(self._label) + f"  for {terminal.format_clock(max(0.0, self._t - self._start))}"
        if self._provisional_t is not None:
            now.append(f"   perhaps a new one since {terminal.format_clock(self._provisional_t)}", "dim italic")
        parts = [now, self._ribbon(inner), self._meter(inner), Text(""), *self._lines]
        # A plain string would be read as markup.
        title = Text(make_printable(f"{self._source}  {terminal.format_clock(self._t)}"))
        subtitle = Text(self._address) if self._address else None
        return Panel(Group(*parts), title=title, title_align="left", subtitle=subtitle, width=width)

    def _ribbon(self, width: int) -> Text:
        """A cell for each interval of the last minutes in the colour of its label; the first of a section shows it."""
        text = Text(no_wrap=True)
        step = RIBBON_S / width
        first = max(0.0, self._t - RIBBON_S)
        previous: tuple[float, str | None] | None = None
        for cell in range(width):
            t = first + (cell + 0.5) * step
            if t > self._t:
                break
            section = self._section_at(t)
            label = section[1]
            text.append(
                make_printable(label[0]) if label and section != previous else " ",
                f"bold black on {terminal.label_colour(label)}",
            )
            previous = section
        return text

    def _section_at(self, t: float) -> tuple[float, str | None]:
        """Start and label of the section at `t`."""
        if t >= self._start:
            return self._start, self._label
        return next(((start, label) for start, end, label in self._sections if start <= t < end), (0.0, None))

    def _meter(self, width: int) -> Text:
        db = self._rms_db
        level = 0 if db is None else round(width * min(1.0, max(0.0, 1 - db / _MIN_DB)))
        text = Text("▪" * level, "green", no_wrap=True)
        text.append("·" * (width - level), "dim")
        return text
