"""What people see in the terminal: events as lines, times as clocks, labels in their colours."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from streamseg import events as facts
from streamseg.cli.printable_console import PrintableConsole
from streamseg.envelope import Envelope, encode
from streamseg.errors import OutputFailed
from streamseg.printable import escape_unprintable_json, printable

if TYPE_CHECKING:
    from streamseg.cli.hearing import Hearing

_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bright_cyan", "bright_magenta", "bright_green")

# Names, titles and labels come from files, stations and servers: what looks like markup in them is none.
out = PrintableConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = PrintableConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def clock(t: float) -> str:
    """`1:02:03.4`, hours only when there are any."""
    minutes, seconds = divmod(round(t, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def colour(label: str | None) -> str:
    """The same for the same label; neighbours in the alphabet differ."""
    return _COLOURS[sum(label.encode(errors="surrogatepass")) % len(_COLOURS)] if label else "white"


def badge(label: str | None, name: str | None = None) -> Text:
    """A label in its colour."""
    return Text.assemble((printable(name or label or "?"), f"bold {colour(label)}"))


def line(envelope: Envelope) -> Text | None:
    """One event for people, or None for what they need not see."""
    match envelope.data:
        case facts.StreamStarted() as fact:
            channels = f"{fact.channels} channel{'s' if fact.channels > 1 else ''}"
            return _at(0.0, f"listening to {fact.source} ({fact.sample_rate} Hz, {channels}), profile {fact.profile}")
        case facts.BoundaryConfirmed() as fact:
            text = _at(fact.t, "") + badge(fact.prev.label) + " → " + badge(fact.next.label)
            text.append(f"   sure after {fact.decided_t - fact.t:.1f} s, confidence {fact.confidence:.2f}", "dim")
            if fact.next.seen_before:
                text.append(f"   {_again(fact.next.last_seen)}", "italic")
            return text
        case facts.SectionUpdated(seen_before=True) as fact:
            text = Text(f"{'':>9}  now ") + badge(fact.label, fact.name)
            return text.append(f"   {_again(fact.last_seen)}", "italic")
        case facts.SectionRelabelled() as fact:
            return Text(f"{'':>9}  {fact.section_id} was ") + badge(fact.previous) + ", is " + badge(fact.label)
        case facts.SoundChanged() as fact:
            kinds = [kind for kind in ("speech", "music", "silence") if getattr(fact, kind)]
            return _at(fact.t, f"{' and '.join(kinds) or 'neither speech nor music'}", "dim")
        case facts.StreamGap() as fact:
            return _at(fact.t, f"{fact.missing_s:.2f} s of sound lost ({fact.cause})", "red")
        case facts.StreamLost() as fact:
            return _at(fact.t, f"source lost: {fact.reason}", "red")
        case facts.StreamResumed() as fact:
            return _at(fact.t, f"source back after {fact.away_s:.1f} s", "green")
        case facts.StreamTitle() as fact:
            return _at(fact.t, f"announced: {fact.title}")
        case facts.AlarmRaised() as fact:
            return _at(fact.since, f"ALARM: {fact.alarm}", "bold red")
        case facts.AlarmCleared() as fact:
            return Text(f"{'':>9}  ") + Text(f"alarm over: {fact.alarm} since {clock(fact.since)}", "green")
        case facts.LabelNamed() as fact:
            return Text(f"{'':>9}  ") + badge(fact.label) + " is called " + badge(fact.label, fact.name)
        case facts.StreamStopped() as fact:
            return _at(fact.t, f"stopped ({fact.reason})", "dim")
    return None


def _again(last_seen: float | None) -> str:
    return "again" if last_seen is None else f"again, last heard at {clock(last_seen)}"


def _at(t: float, text: str, style: str = "") -> Text:
    return Text(f"{clock(t):>9}  ") + Text(printable(text), style)


def print_lines(envelopes: Iterable[Envelope], prefix: str = "") -> None:
    """Print what people want to see of these events."""
    for envelope in envelopes:
        text = line(envelope)
        if text is not None:
            out.print(Text(prefix, "dim") + text if prefix else text)


def print_json(envelope: Envelope) -> None:
    """Print an event as programs want it. Raises OutputFailed where standard output cannot be written."""
    try:
        sys.stdout.write(escape_unprintable_json(encode(envelope).decode()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away, which ends the command
        raise
    except OSError as error:
        raise OutputFailed(f"cannot write standard output: {error.strerror}; redirect it elsewhere") from None


def busy(message: str) -> AbstractContextManager[object]:
    """Say what takes a moment: a spinner for people, a line for logs."""
    if err.is_terminal:
        return err.status(Text(message))
    err.print(message)
    return nullcontext()


def slow_start() -> str:
    """Why it may take long until the first sound is heard."""
    from streamseg.engine.kernel import KEPT

    if KEPT:
        return "the first run after installing compiles, about half a minute"
    return (
        "compiles at every start, half a minute: neither the program's folder nor a cache directory of this user can "
        "be written; NUMBA_CACHE_DIR=FOLDER names one"
    )


@contextmanager
def counted(message: str) -> Iterator[Callable[[int, int, str], None]]:
    """A function that says how many of how many are done, and what came last; a bar for people, lines for logs."""
    if not err.is_terminal:
        yield lambda done, total, name: err.print(f"{done}/{total} {name}")
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(message, total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)


def progress(hearing: Hearing) -> Iterator[list[Envelope]]:
    """What the hearing gives; meanwhile how far it is, where that would not stand in the way of the result."""
    if not err.is_terminal or out.is_terminal:
        yield from hearing
        return
    began = time.perf_counter()
    with err.status(Text(f"{hearing.source.name}: opening ({slow_start()})")) as status:
        for envelopes in hearing:
            t = hearing.position.t
            speed = t / (time.perf_counter() - began)
            status.update(Text(f"{hearing.source.name}: {clock(t)} ({speed:.0f} × real time)"))
            yield envelopes


def print_address(page: str) -> None:
    """Where the page and the WebSocket are."""
    socket = "ws" + page.removeprefix("http") + "ws"
    err.print(f"page: {page}   WebSocket: {socket}   (Ctrl-C ends)")
