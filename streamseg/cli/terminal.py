"""Prints events, progress and warnings for people: each event as one line, with clock times and coloured labels."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.text import Text

from streamseg.cli.console import SanitisingConsole
from streamseg.errors import OutputError
from streamseg.wire import events
from streamseg.wire.envelope import Envelope, encode_envelope
from streamseg.wire.printable import escape_unprintable_json, make_printable

if TYPE_CHECKING:
    from streamseg.live.session import Session

_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bright_cyan", "bright_magenta", "bright_green")

# markup=False: names, titles and labels come from files, stations and servers, and may look like markup.
stdout = SanitisingConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
stderr = SanitisingConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def format_clock(t: float) -> str:
    """Format a time in seconds as `1:02:03.4`, or as `2:03.4` below an hour."""
    minutes, seconds = divmod(round(t, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun, given in the singular: `1 section`, `2 sections`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def label_colour(label: str | None) -> str:
    """Return the Rich colour name for a label: always the same for the same label; `white` for None (no label).

    Labels that are next to each other in the alphabet get different colours.
    """
    return _COLOURS[sum(label.encode(errors="surrogatepass")) % len(_COLOURS)] if label else "white"


def label_text(label: str | None, name: str | None = None) -> Text:
    """Return `name`, or `label` if the label has no name, as text in the label's colour; `?` if there is neither."""
    return Text.assemble((make_printable(name or label or "?"), f"bold {label_colour(label)}"))


class EventLines:
    """Describes events as readable lines, each fact once: when a section's label was last heard is not repeated."""

    def __init__(self) -> None:
        self._current: dict[str, tuple[object, ...]] = {}  # stream to id, label, seen_before and name of its section

    def print_events(self, envelopes: Iterable[Envelope], prefix: str = "") -> None:
        """Print one readable line for each event to standard output. prefix: printed before each line."""
        for envelope in envelopes:
            text = self.describe_event(envelope)
            if text is not None:
                stdout.print(Text(prefix, "dim") + text if prefix else text)

    def describe_event(self, envelope: Envelope) -> Text | None:
        """Return one readable line that describes an event; None if events of its type are not shown."""
        match envelope.data:
            case events.StreamStarted():  # section ids begin again
                self._current.pop(envelope.source, None)
            case events.BoundaryConfirmed() as data:
                self._current[envelope.source] = (data.next.section_id, data.next.label, data.next.seen_before, None)
            case events.SectionUpdated() as data:
                before = self._current.get(envelope.source)
                self._current[envelope.source] = now = (data.section_id, data.label, data.seen_before, data.name)
                if now == before:
                    return None
                return _describe_update(data, is_known=before is not None and now[:3] == before[:3])
        return _describe_event(envelope)


def _describe_update(data: events.SectionUpdated, *, is_known: bool) -> Text | None:
    if not data.seen_before and data.name is None:
        return None
    text = Text(f"{'':>9}  now ") + label_text(data.label)
    if data.name is not None:
        text += Text(" (") + label_text(data.label, data.name) + Text(")")
    if data.seen_before and not is_known:
        # The name may be that of a jingle; what was heard before is the label.
        label = f"label {data.label} " if data.name is not None else ""
        text.append(f"   {make_printable(label)}{_returning_text(data.last_seen)}", "italic")
    return text


def _describe_event(envelope: Envelope) -> Text | None:
    match envelope.data:
        case events.StreamStarted() as data:
            channels = format_count(data.channels, "channel")
            return _timed_text(
                0.0, f"listening to {data.source} ({data.sample_rate} Hz, {channels}), profile {data.profile}"
            )
        case events.BoundaryConfirmed() as data:
            text = _timed_text(data.t, "") + label_text(data.prev.label) + " → " + label_text(data.next.label)
            text.append(f"   confirmed after {data.decided_t - data.t:.1f} s, confidence {data.confidence:.2f}", "dim")
            if data.next.seen_before:
                text.append(f"   {_returning_text(data.next.last_seen)}", "italic")
            return text
        case events.SectionRelabelled() as data:
            return (
                Text(f"{'':>9}  {data.section_id} was ") + label_text(data.previous) + ", is " + label_text(data.label)
            )
        case events.SoundChanged() as data:
            kinds = [kind for kind in ("speech", "music", "silence") if getattr(data, kind)]
            return _timed_text(data.t, f"{' and '.join(kinds) or 'neither speech nor music'}", "dim")
        case events.StreamGap() as data:
            return _timed_text(data.t, f"{data.missing_s:.2f} s of sound lost ({data.cause})", "red")
        case events.StreamLost() as data:
            return _timed_text(data.t, f"source lost: {data.reason}", "red")
        case events.StreamResumed() as data:
            return _timed_text(data.t, f"source back after {data.away_s:.1f} s", "green")
        case events.StreamTitle() as data:
            return _timed_text(data.t, f"announced: {data.title}")
        case events.AlarmRaised() as data:
            return _timed_text(data.since, f"ALARM: {data.alarm}", "bold red")
        case events.AlarmCleared() as data:
            return Text(f"{'':>9}  ") + Text(f"alarm ended: {data.alarm} since {format_clock(data.since)}", "green")
        case events.LabelNamed() as data:
            return Text(f"{'':>9}  ") + label_text(data.label) + " is called " + label_text(data.label, data.name)
        case events.StreamStopped() as data:
            return _timed_text(data.t, f"stopped ({data.reason})", "dim")
    return None


def _returning_text(last_seen: float | None) -> str:
    return "heard in an earlier run" if last_seen is None else f"again, last heard at {format_clock(last_seen)}"


def _timed_text(t: float, text: str, style: str = "") -> Text:
    return Text(f"{format_clock(t):>9}  ") + Text(make_printable(text), style)


def print_event_json(envelope: Envelope) -> None:
    """Print an event to standard output as one line of JSON. Raises OutputError when that fails."""
    try:
        sys.stdout.write(escape_unprintable_json(encode_envelope(envelope).decode()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has ended, which ends the command
        raise
    except OSError as error:
        raise OutputError(f"cannot write standard output: {error.strerror}; redirect it elsewhere") from None


def show_busy(message: str) -> AbstractContextManager[object]:
    """Show `message` on standard error while the `with` block runs: with a spinner on a terminal, else as one line."""
    if stderr.is_terminal:
        return stderr.status(Text(message))
    stderr.print(message)
    return nullcontext()


@contextmanager
def show_start(message: str) -> Iterator[object]:
    """Show `message` as `show_busy` does while the `with` block runs; also why it takes long, once kernels compile."""
    from streamseg.engine.kernels import call_at_first_compilation

    with show_busy(message) as status:

        def explain() -> None:
            if isinstance(status, Status):
                status.update(Text(f"{message} ({_explain_compilation()})"))
            else:
                stderr.print(_explain_compilation())

        with call_at_first_compilation(explain):
            yield status


def _explain_compilation() -> str:
    """Return a text that tells the user why a start takes half a minute: kernels (numba functions) are compiled."""
    from streamseg.engine.kernels import CACHE_IS_WRITABLE

    if CACHE_IS_WRITABLE:
        return "compiling, as the first run after installing does: about half a minute"
    return (
        "compiles at every start, half a minute: neither the program's folder nor a cache folder of this user can be "
        "written; set NUMBA_CACHE_DIR=FOLDER to one that can"
    )


@contextmanager
def show_progress(message: str) -> Iterator[Callable[[int, int, str], None]]:
    """In the `with` block, show how many files are done; yield a function to call after each: `f(count, total, name)`.

    Progress is shown on standard error: on a terminal as a bar, with `message` before the first call; otherwise as a
    line for each call.
    """
    if not stderr.is_terminal:
        yield lambda count, total, name: stderr.print(f"{count}/{total} {name}")
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(message, total=None)
        yield lambda count, total, name: bar.update(task, completed=count, total=total, description=name)


def iterate_and_show_status(session: Session) -> Iterator[list[Envelope]]:
    """Yield each list of new events of a session; meanwhile show the session's stream time and speed on standard error.

    Time and speed are shown only if standard error is a terminal and standard output is not.
    """
    if not stderr.is_terminal or stdout.is_terminal:
        yield from session
        return
    start = time.perf_counter()
    with show_start(f"{session.source.name}: opening") as status:
        for envelopes in session:
            t = session.progress.t
            speed = t / (time.perf_counter() - start)
            if isinstance(status, Status):
                status.update(Text(f"{session.source.name}: {format_clock(t)} ({speed:.0f} × real time)"))
            yield envelopes


def print_server_addresses(page_url: str) -> None:
    """Print the URLs of the server's page and of its WebSocket to standard error."""
    socket = "ws" + page_url.removeprefix("http") + "ws"
    stderr.print(f"page: {page_url}   WebSocket: {socket}   (Ctrl-C ends)")


class _WarningPrinter(logging.Handler):
    """Prints log records of level WARNING and above to standard error, each on one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of one log record."""
        stderr.print(f"streamseg: {record.getMessage()}")


@contextmanager
def print_logged_warnings() -> Iterator[None]:
    """In the `with` block, print to standard error each warning that streamseg logs."""
    logger = logging.getLogger("streamseg")
    printer = _WarningPrinter(logging.WARNING)
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)
