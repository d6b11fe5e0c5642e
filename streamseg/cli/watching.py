"""A subscription printed until somebody stops it."""

from __future__ import annotations

import asyncio

from streamseg.cli import terminal
from streamseg.cli.stopping import on_signals
from streamseg.cli.summary import Tally
from streamseg.client import Dropped, Joined, Message, Subscription
from streamseg.envelope import Envelope
from streamseg.events import StreamStopped
from streamseg.printable import printable


class _Printer:
    """Prints messages, and keeps track of which streams are still running."""

    def __init__(self, subscription: Subscription, *, as_json: bool) -> None:
        self.tally = Tally()
        self.running: set[str] = set()
        self.asked_to_wait = False  # whether we have said that nobody answers
        self._subscription = subscription
        self._as_json = as_json

    def take(self, message: Message) -> None:
        match message:
            case Envelope(data=data):
                stream = message.source.removeprefix("/streams/")
                self.tally.push([message])
                if self._as_json:
                    terminal.print_json(message)
                else:
                    terminal.print_lines([message], f"{printable(stream):>12} ")
                if isinstance(data, StreamStopped) and data.reason != "reset":
                    self.running.discard(stream)
            case Joined(stream=stream, recovered=recovered, snapshot=snapshot):
                if snapshot["state"] != "stopped":
                    self.running.add(stream)
                if self._subscription.connections > 1:
                    kept = "nothing was missed" if recovered else "what was said meanwhile is no longer to be had"
                    terminal.err.print(f"{printable(stream)}: connected again; {kept}")
                elif self.asked_to_wait:
                    terminal.err.print(f"{printable(stream)}: connected")
            case Dropped(type=topic, n=n):
                terminal.err.print(f"{n} {topic} events were left out, because they are read too slowly")


async def watch(subscription: Subscription, *, as_json: bool, until_stopped: bool) -> None:
    """Print until stopped, or until every stream has. Raises ConnectionRefused."""
    printer = _Printer(subscription, as_json=as_json)

    async def print_all() -> None:
        async for message in subscription.messages():
            printer.take(message)
            if until_stopped and not printer.running and isinstance(message, Envelope | Joined):
                return

    loop = asyncio.get_running_loop()
    watching = loop.create_task(print_all())

    def stop() -> None:
        loop.call_soon_threadsafe(watching.cancel)

    with on_signals(stop):
        done, _ = await asyncio.wait([watching], timeout=1.0)
        if not done and not subscription.connections:
            printer.asked_to_wait = True
            terminal.err.print(f"no answer from {subscription.url} yet; trying on (Ctrl-C ends)")
        await asyncio.wait([watching])
    if not watching.cancelled():
        watching.result()
    terminal.err.print(f"{printer.tally}; connected {subscription.connections} ×")
