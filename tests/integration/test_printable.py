"""Nothing that comes from elsewhere commands the terminal, whichever way it is printed."""

import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integration.test_cli_screen import change, stamped
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamseg.cli import app, summary, terminal
from streamseg.cli.console import SanitisingConsole
from streamseg.cli.screen import LiveScreen
from streamseg.outputs import FORMATS
from streamseg.wire.events import LabelNamed, SectionClosed, StreamTitle
from streamseg.wire.printable import escape_unprintable_json, is_printable, make_one_line, make_printable

UNPRINTABLE = "".join(map(chr, (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))) + (
    "\u2028\u2029\ud800\udcff\uffff"
)
HOSTILE = "News\x1b[2J\x9b31m\x1b]0;owned\x07\u202egpj.exe\r\nstreamseg: all is well\udcff[/bold]"
STYLES = re.compile(r"\x1b\[[0-9;]*m")  # rich's own; hostile text has none left

hostile_text = st.text(st.one_of(st.sampled_from(UNPRINTABLE + "[]/\\AB é🎵"), st.characters()), max_size=40)


def test_printable_keeps_what_is_text_and_replaces_what_commands():
    assert make_printable("Größe 🎵 עברית 日本 A–B") == "Größe 🎵 עברית 日本 A–B"
    assert make_printable("a\tb\r\nc\u2028d") == "a b  c d"
    assert set(make_printable(UNPRINTABLE)) == {" ", "�"}
    assert make_one_line("  a\n\n b\x00 ") == "a b�"
    assert make_one_line("abcdef", 4) == "abc…"


@given(hostile_text)
def test_printable_can_be_encoded_and_is_one_line(text):
    line = make_printable(text)
    assert len(line) == len(text)
    assert is_printable(line)
    assert not set(line) & set(UNPRINTABLE)
    assert len(line.encode().decode().splitlines()) <= 1


@given(hostile_text)
def test_json_lines_say_the_same_and_hold_no_control_character(text):
    document = json.dumps({"title": text}, ensure_ascii=False)
    escaped = escape_unprintable_json(document)
    assert json.loads(escaped) == {"title": text}
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", escaped)


@settings(deadline=None)
@given(hostile_text)
def test_a_console_prints_no_control_of_a_stranger(text):
    shown = io.StringIO()
    console = SanitisingConsole(file=shown, markup=False, emoji=False, force_terminal=True, width=60)
    table = Table(box=None)
    table.add_column(Text(text))
    table.add_row(text, style="bold")
    console.print(text)
    console.print(Text(text, "red"), Panel(Text(text), title=Text(text)), table)
    left = STYLES.sub("", shown.getvalue()).replace("\n", "")
    assert not set(left) & set(UNPRINTABLE)
    left.encode()


def test_a_string_stays_on_its_line():
    shown = io.StringIO()
    SanitisingConsole(file=shown, markup=False, soft_wrap=True).print(f"streamseg: mic: {HOSTILE}")
    assert shown.getvalue().count("\n") == 1


def test_the_screen_and_the_tally_show_hostile_names(monkeypatch):
    shown = io.StringIO()
    console = SanitisingConsole(file=shown, markup=False, emoji=False, width=100)
    screen = LiveScreen(HOSTILE)
    closed = SectionClosed(**closed_fields() | {"label": HOSTILE, "name": HOSTILE})
    said = stamped(StreamTitle(t=1.0, title=HOSTILE), LabelNamed(label="A", name=HOSTILE, by="x"), closed)
    screen.add_events_without_drawing([*said, *stamped(change(2.0, HOSTILE, HOSTILE))])
    console.print(screen.render(100))
    tally = summary.EventSummary()
    tally.add_events(said)
    console.print(Text(f"{tally}"))
    assert not set(shown.getvalue().replace("\n", "")) & set(UNPRINTABLE)
    assert "[/bold]" in shown.getvalue()  # no markup either: the screen once failed of it


def closed_fields():
    from unit.test_outputs import closed_fields

    return closed_fields()


def test_json_for_programs_can_be_shown_in_a_terminal(capsys):
    title = "a\x9b31m\u202eb"
    (envelope,) = stamped(StreamTitle(t=1.0, title=title))
    terminal.print_event_json(envelope)
    (line,) = FORMATS["jsonl"].render([envelope])
    for text in (capsys.readouterr().out, line):
        assert json.loads(text)["data"]["title"] == title
        assert not {"\x9b", "\u202e"} & set(text)


def test_failures_are_printed_clean(capsys):
    with pytest.raises(app.typer.Exit):
        app._exit_with_error(f"no file {HOSTILE}", 2)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert not set(message.strip("\n")) & set(UNPRINTABLE)


def test_a_label_of_any_text_has_a_colour():
    assert terminal.label_colour("\udcff") in terminal._COLOURS
