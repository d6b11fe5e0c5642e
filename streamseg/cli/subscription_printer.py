"""Prints the events that a client receives from a server (`streamseg watch`)."""

from __future__ import annotations

import asyncio

from streamseg.cli import terminal
from streamseg.cli.signals import handle_stop_signals
from streamseg.cli.summary import EventSummary
from streamseg.client.protocol import Disconnected, Message, StreamJoined
from streamseg.client.subscription import Subscription
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import StreamStopped
from streamseg.wire.messages import EventsDropped
from streamseg.wire.printable import make_printable


class _SubscriptionPrinter:
    """Prints the messages of a subscription, and tracks which streams are still running."""

    def __init__(self, subscription: Subscription, *, as_json: bool) -> None:
        self.summary = EventSummary()
        self.running_streams: set[str] = set()
        self._joined_streams: set[str] = set()
        self.has_reported_waiting = False  # "no answer yet" was printed
        self._subscription = subscription
        self._as_json = as_json
        self._event_lines = terminal.EventLines()

    @property
    def all_stopped(self) -> bool:
        """Whether every stream of the subscription has been joined and has stopped."""
        return not self.running_streams and self._joined_streams.issuperset(self._subscription.streams)

    def print_message(self, message: Message) -> None:
        """Print one message of the subscription."""
        match message:
            case Envelope(data=data):
                stream = message.source.removeprefix("/streams/")
                self.summary.add_events([message])
                if self._as_json:
                    terminal.print_event_json(message)
                else:
                    self._event_lines.print_events([message], f"{make_printable(stream):>12} ")
                if isinstance(data, StreamStopped) and data.reason != "reset":
                    self.running_streams.discard(stream)
            case StreamJoined(stream=stream, snapshot=snapshot):
                self._joined_streams.add(stream)
                if snapshot is not None and snapshot["state"] != "stopped":
                    self.running_streams.add(stream)
                elif not message.is_recovered:  # otherwise `stream.stopped` is among the events that follow
                    self.running_streams.discard(stream)
                if self._subscription.connections > 1:
                    terminal.stderr.print(
                        f"{make_printable(stream)}: connected again; {_describe_missed_events(message)}"
                    )
                elif self.has_reported_waiting:
                    terminal.stderr.print(f"{make_printable(stream)}: connected")
                if self._subscription.connections == 1 and not message.is_recovered and snapshot is not None:
                    _report_silent_stream(make_printable(stream), snapshot["state"])
            case Disconnected(code=code, reason=reason):
                cause = f"the server closed it with {code}, {make_printable(reason)}" if code else "network error"
                terminal.stderr.print(f"connection lost ({cause}); trying again")
            case EventsDropped(type=topic, n=n):
                terminal.stderr.print(f"{n} {topic} events were left out, because they are read too slowly")


def _report_silent_stream(stream: str, state: str) -> None:
    """Print why no events of a stream come, if it has stopped or has not begun."""
    if state == "stopped":
        terminal.stderr.print(f"{stream}: has already stopped; `watch` prints what happens from now on")
    elif state == "waiting":
        terminal.stderr.print(f"{stream}: has no sound yet; waiting for it (Ctrl-C ends)")


def _describe_missed_events(message: StreamJoined) -> str:
    """What happened to the events between two connections."""
    if not message.is_recovered:
        return "the events in between are lost: the server no longer has them"
    if message.replayed_count:
        return f"no event was missed; {message.replayed_count} events from in between follow"
    return "no event was missed"


async def print_subscribed_events(subscription: Subscription, *, as_json: bool, until_stopped: bool) -> None:
    """Print the events of a server until a stop signal, such as Ctrl-C, arrives; then print a summary.

    subscription: the connection to the server. as_json: print JSON lines instead of text. until_stopped: also end when
    every stream has stopped. Raises ServerRefusedError.
    """
    printer = _SubscriptionPrinter(subscription, as_json=as_json)

    async def print_all() -> None:
        async for message in subscription.messages():
            printer.print_message(message)
            if until_stopped and printer.all_stopped and isinstance(message, Envelope | StreamJoined):
                return

    loop = asyncio.get_running_loop()
    printing = loop.create_task(print_all())

    def stop() -> None:
        loop.call_soon_threadsafe(printing.cancel)

    with handle_stop_signals(stop):
        finished_tasks, _ = await asyncio.wait([printing], timeout=1.0)
        if not finished_tasks and not subscription.connections:
            printer.has_reported_waiting = True
            terminal.stderr.print(f"no answer from {subscription.url} yet; trying again (Ctrl-C ends)")
        await asyncio.wait([printing])
    if not printing.cancelled():
        printing.result()
    terminal.stderr.print(f"{printer.summary}; connected {subscription.connections} ×")
