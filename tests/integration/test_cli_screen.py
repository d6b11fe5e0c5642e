"""What the terminal shows of a stream, drawn without one."""

import io

import pytest
from rich.console import Console
from unit.test_outputs import run

from streamseg.cli import terminal
from streamseg.cli.screen import LiveScreen
from streamseg.wire.envelope import EventSequencer
from streamseg.wire.events import (
    BoundaryConfirmed,
    BoundaryProvisional,
    Event,
    FeatureDistances,
    LabelNamed,
    MeterReading,
    NextSection,
    PreviousSection,
    SectionClosed,
    SectionUpdated,
    StreamGap,
    StreamTitle,
)


def stamped(*facts):
    return EventSequencer("mic", "e", lambda: 0.0).stamp_events(Event("x", fact) for fact in facts)


def change(t, prev, to, last_seen=None):
    return BoundaryConfirmed(
        boundary_id="b",
        t=t,
        decided_t=t + 5,
        t_uncertainty=0.1,
        confidence=0.9,
        evidence=FeatureDistances(timbre=0, harmony=0, rhythm=0, level=0),
        snapped_to=None,
        prev=PreviousSection(section_id="s", label=prev),
        next=NextSection(section_id="s", label=to, seen_before=last_seen is not None, last_seen=last_seen),
    )


def drawn(screen, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(screen.render(width))
    return console.export_text()


def test_the_screen_follows():
    screen = LiveScreen("mic:USB")
    screen.set_page_url("http://127.0.0.1:1/")
    first = next(envelope.data for envelope in run() if isinstance(envelope.data, SectionClosed))
    screen.add_events_without_drawing(
        stamped(MeterReading(t=20.0, rms_db=-30.0, peak_db=None), change(12.3, "A", "B"), first)
    )
    screen.add_events_without_drawing(
        stamped(BoundaryProvisional(boundary_id="b-2", t=18.0, decided_t=19.0, stability=0.5, score=1.0))
    )
    text = drawn(screen)
    rows = text.splitlines()
    assert "mic:USB" in rows[0]
    assert "0:20.0" in rows[0]
    assert "B  for 0:07.7" in rows[1]
    assert "perhaps a new one since 0:18.0" in rows[1]
    assert rows[2].strip("│ ").split() == ["A", "B"]
    assert rows[3].count("▪") == pytest.approx(38, abs=1)  # half the way from -60 to 0 dB
    assert "A → B" in text
    assert "http://127.0.0.1:1/" in rows[-1]
    assert {len(row) for row in rows} == {80}


@pytest.mark.parametrize("width", [24, 40, 200])
def test_it_fits_any_terminal(width):
    screen = LiveScreen("a very long name of a device that nobody could have foreseen")
    for n in range(300):
        screen.add_events_without_drawing(
            stamped(MeterReading(t=n * 4.0, rms_db=None, peak_db=None), change(n * 4.0, "A", "B", 0.0))
        )
    assert max(len(row) for row in drawn(screen, width).splitlines()) <= width


def test_lines_for_people():
    gap = StreamGap(t=3.0, missing_s=0.5, cause="overflow")
    again = SectionUpdated(
        section_id="s", label="B", name="Chorus", label_probabilities={"B": 1.0}, seen_before=True, last_seen=30.0
    )
    lines = terminal.EventLines()
    said = [lines.describe_event(envelope) for envelope in stamped(gap, change(3661.04, "A", "C", 30.0), again)]
    assert [text.plain for text in said] == [
        "   0:03.0  0.50 s of sound lost (overflow)",
        "1:01:01.0  A → C   confirmed after 5.0 s, confidence 0.90   again, last heard at 0:30.0",
        "           now B (Chorus)   label B again, last heard at 0:30.0",
    ]


def test_what_was_heard_before_is_told_once_and_of_the_label():
    """A jingle names a section, whatever its label; the label alone was heard before."""

    def jingle(label, last_seen, seen_before=True):
        return SectionUpdated(
            section_id="s",
            label=label,
            name="News",
            label_probabilities={},
            seen_before=seen_before,
            last_seen=last_seen,
        )

    lines = terminal.EventLines()
    said = stamped(
        change(10.0, "A", "B"),
        jingle("B", None, seen_before=False),
        change(40.0, "B", "C", 30.0),
        jingle("C", 30.0),
        jingle("A", 10.0),
        jingle("D", None),
    )
    assert [
        lines.describe_event(envelope).plain.partition("confidence 0.90")[2] for envelope in (said[0], said[2])
    ] == [
        "",
        "   again, last heard at 0:30.0",
    ]
    assert [lines.describe_event(envelope).plain.strip() for envelope in said[3:]] == [
        "now C (News)",
        "now A (News)   label A again, last heard at 0:10.0",
        "now D (News)   label D heard in an earlier run",
    ]
    lines.describe_event(said[0])
    assert lines.describe_event(said[1]).plain.strip() == "now B (News)"
    assert lines.describe_event(said[1]) is None  # nothing new


@pytest.mark.parametrize(
    ("t", "shown"), [(0, "0:00.0"), (59.96, "1:00.0"), (3599.99, "1:00:00.0"), (7325.5, "2:02:05.5")]
)
def test_clock(t, shown):
    assert terminal.format_clock(t) == shown


def test_titles_and_names_cannot_command_the_terminal(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "stdout", Console(file=shown, markup=False, emoji=False, width=200))
    said = stamped(
        StreamTitle(t=1.0, title="\x1b]0;owned\x07\x1b[2J\x9b31m[/bold] :smile: [red]News"),
        LabelNamed(label="A", name="\x1b[31mred\r", by="x"),
    )
    terminal.EventLines().print_events(said, "mic ")
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown.getvalue())
    assert "[/bold] :smile: [red]News" in shown.getvalue()
    assert not terminal.stdout.is_terminal
