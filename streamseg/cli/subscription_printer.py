"""A subscription printed until somebody stops it."""

from __future__ import annotations

import asyncio

from streamseg.cli import terminal
from streamseg.cli.signals import handle_stop_signals
from streamseg.cli.summary import EventSummary
from streamseg.client.session import Disconnected, Message, StreamJoined
from streamseg.client.subscription import Subscription
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import StreamStopped
from streamseg.wire.messages import EventsDropped
from streamseg.wire.printable import make_printable


class _SubscriptionPrinter:
    """Prints messages, and keeps track of which streams are still running."""

    def __init__(self, subscription: Subscription, *, as_json: bool) -> None:
        self.summary = EventSummary()
        self.running: set[str] = set()
        self._joined: set[str] = set()
        self.has_reported_waiting = False  # whether we have said that nobody answers
        self._subscription = subscription
        self._as_json = as_json

    @property
    def all_stopped(self) -> bool:
        """Whether every stream is known, and none is running."""
        return not self.running and self._joined.issuperset(self._subscription.streams)

    def print_message(self, message: Message) -> None:
        match message:
            case Envelope(data=data):
                stream = message.source.removeprefix("/streams/")
                self.summary.push([message])
                if self._as_json:
                    terminal.print_json(message)
                else:
                    terminal.print_lines([message], f"{make_printable(stream):>12} ")
                if isinstance(data, StreamStopped) and data.reason != "reset":
                    self.running.discard(stream)
            case StreamJoined(stream=stream, snapshot=snapshot):
                self._joined.add(stream)
                if snapshot is not None and snapshot["state"] != "stopped":
                    self.running.add(stream)
                elif not message.recovered:  # else its end is among the events that follow
                    self.running.discard(stream)
                if self._subscription.connections > 1:
                    terminal.stderr.print(f"{make_printable(stream)}: connected again; {_missed(message)}")
                elif self.has_reported_waiting:
                    terminal.stderr.print(f"{make_printable(stream)}: connected")
            case Disconnected(code=code, reason=reason):
                why = f"the server closed it with {code}, {make_printable(reason)}" if code else "it broke"
                terminal.stderr.print(f"connection lost ({why}); trying again")
            case EventsDropped(type=topic, n=n):
                terminal.stderr.print(f"{n} {topic} events were left out, because they are read too slowly")


def _missed(joined: StreamJoined) -> str:
    """What became of the events between two connections."""
    if not joined.recovered:
        return "what was said meanwhile is no longer to be had"
    if joined.replayed:
        return f"nothing was missed; {joined.replayed} events that were said meanwhile follow"
    return "nothing was missed"


async def print_subscription(subscription: Subscription, *, as_json: bool, until_stopped: bool) -> None:
    """Print until stopped, or until every stream has. Raises ConnectionRefused."""
    printer = _SubscriptionPrinter(subscription, as_json=as_json)

    async def print_all() -> None:
        async for message in subscription.messages():
            printer.print_message(message)
            if until_stopped and printer.all_stopped and isinstance(message, Envelope | StreamJoined):
                return

    loop = asyncio.get_running_loop()
    watching = loop.create_task(print_all())

    def stop() -> None:
        loop.call_soon_threadsafe(watching.cancel)

    with handle_stop_signals(stop):
        done, _ = await asyncio.wait([watching], timeout=1.0)
        if not done and not subscription.connections:
            printer.has_reported_waiting = True
            terminal.stderr.print(f"no answer from {subscription.url} yet; trying on (Ctrl-C ends)")
        await asyncio.wait([watching])
    if not watching.cancelled():
        watching.result()
    terminal.stderr.print(f"{printer.summary}; connected {subscription.connections} ×")
