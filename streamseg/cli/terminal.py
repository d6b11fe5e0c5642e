"""What people see in the terminal: events as lines, times as clocks, labels in their colours."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from streamseg.cli.console import PrintableConsole
from streamseg.errors import OutputError
from streamseg.wire import events as facts
from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.printable import escape_unprintable_json, make_printable

if TYPE_CHECKING:
    from streamseg.live.session import Session

_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bright_cyan", "bright_magenta", "bright_green")

# Names, titles and labels come from files, stations and servers: what looks like markup in them is none.
stdout = PrintableConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
stderr = PrintableConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def format_clock(t: float) -> str:
    """`1:02:03.4`, hours only when there are any."""
    minutes, seconds = divmod(round(t, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def label_colour(label: str | None) -> str:
    """The same for the same label; neighbours in the alphabet differ."""
    return _COLOURS[sum(label.encode(errors="surrogatepass")) % len(_COLOURS)] if label else "white"


def label_text(label: str | None, name: str | None = None) -> Text:
    """A label in its colour."""
    return Text.assemble((make_printable(name or label or "?"), f"bold {label_colour(label)}"))


def event_line(envelope: Envelope) -> Text | None:
    """One event for people, or None for what they need not see."""
    match envelope.data:
        case facts.StreamStarted() as fact:
            channels = f"{fact.channels} channel{'s' if fact.channels > 1 else ''}"
            return _timed_text(
                0.0, f"listening to {fact.source} ({fact.sample_rate} Hz, {channels}), profile {fact.profile}"
            )
        case facts.BoundaryConfirmed() as fact:
            text = _timed_text(fact.t, "") + label_text(fact.prev.label) + " → " + label_text(fact.next.label)
            text.append(f"   sure after {fact.decided_t - fact.t:.1f} s, confidence {fact.confidence:.2f}", "dim")
            if fact.next.seen_before:
                text.append(f"   {_returning_text(fact.next.last_seen)}", "italic")
            return text
        case facts.SectionUpdated(seen_before=True) as fact:
            text = Text(f"{'':>9}  now ") + label_text(fact.label, fact.name)
            return text.append(f"   {_returning_text(fact.last_seen)}", "italic")
        case facts.SectionRelabelled() as fact:
            return (
                Text(f"{'':>9}  {fact.section_id} was ") + label_text(fact.previous) + ", is " + label_text(fact.label)
            )
        case facts.SoundChanged() as fact:
            kinds = [kind for kind in ("speech", "music", "silence") if getattr(fact, kind)]
            return _timed_text(fact.t, f"{' and '.join(kinds) or 'neither speech nor music'}", "dim")
        case facts.StreamGap() as fact:
            return _timed_text(fact.t, f"{fact.missing_s:.2f} s of sound lost ({fact.cause})", "red")
        case facts.StreamLost() as fact:
            return _timed_text(fact.t, f"source lost: {fact.reason}", "red")
        case facts.StreamResumed() as fact:
            return _timed_text(fact.t, f"source back after {fact.away_s:.1f} s", "green")
        case facts.StreamTitle() as fact:
            return _timed_text(fact.t, f"announced: {fact.title}")
        case facts.AlarmRaised() as fact:
            return _timed_text(fact.since, f"ALARM: {fact.alarm}", "bold red")
        case facts.AlarmCleared() as fact:
            return Text(f"{'':>9}  ") + Text(f"alarm over: {fact.alarm} since {format_clock(fact.since)}", "green")
        case facts.LabelNamed() as fact:
            return Text(f"{'':>9}  ") + label_text(fact.label) + " is called " + label_text(fact.label, fact.name)
        case facts.StreamStopped() as fact:
            return _timed_text(fact.t, f"stopped ({fact.reason})", "dim")
    return None


def _returning_text(last_seen: float | None) -> str:
    return "again" if last_seen is None else f"again, last heard at {format_clock(last_seen)}"


def _timed_text(t: float, text: str, style: str = "") -> Text:
    return Text(f"{format_clock(t):>9}  ") + Text(make_printable(text), style)


def print_lines(envelopes: Iterable[Envelope], prefix: str = "") -> None:
    """Print what people want to see of these events."""
    for envelope in envelopes:
        text = event_line(envelope)
        if text is not None:
            stdout.print(Text(prefix, "dim") + text if prefix else text)


def print_json(envelope: Envelope) -> None:
    """Print an event as programs want it. Raises OutputFailed where standard output cannot be written."""
    try:
        sys.stdout.write(escape_unprintable_json(encode_envelope(envelope).decode()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away, which ends the command
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror}; redirect it elsewhere") from None


def show_busy(message: str) -> AbstractContextManager[object]:
    """Say what takes a moment: a spinner for people, a line for logs."""
    if stderr.is_terminal:
        return stderr.status(Text(message))
    stderr.print(message)
    return nullcontext()


def explain_slow_start() -> str:
    """Why it may take long until the first sound is heard."""
    from streamseg.engine.kernels import CACHE_IS_WRITABLE

    if CACHE_IS_WRITABLE:
        return "the first run after installing compiles, about half a minute"
    return (
        "compiles at every start, half a minute: neither the program's folder nor a cache directory of this user can "
        "be written; NUMBA_CACHE_DIR=FOLDER names one"
    )


@contextmanager
def progress_counter(message: str) -> Iterator[Callable[[int, int, str], None]]:
    """A function that says how many of how many are done, and what came last; a bar for people, lines for logs."""
    if not stderr.is_terminal:
        yield lambda done, total, name: stderr.print(f"{done}/{total} {name}")
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(message, total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)


def iterate_with_status(session: Session) -> Iterator[list[Envelope]]:
    """What the hearing gives; meanwhile how far it is, where that would not stand in the way of the result."""
    if not stderr.is_terminal or stdout.is_terminal:
        yield from session
        return
    began = time.perf_counter()
    with stderr.status(Text(f"{session.source.name}: opening ({explain_slow_start()})")) as status:
        for envelopes in session:
            t = session.position.t
            speed = t / (time.perf_counter() - began)
            status.update(Text(f"{session.source.name}: {format_clock(t)} ({speed:.0f} × real time)"))
            yield envelopes


def print_address(page: str) -> None:
    """Where the page and the WebSocket are."""
    socket = "ws" + page.removeprefix("http") + "ws"
    stderr.print(f"page: {page}   WebSocket: {socket}   (Ctrl-C ends)")
