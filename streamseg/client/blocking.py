"""Subscribes to a server's events without asyncio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from streamseg.client.connect_options import CONNECT_OPTIONS
from streamseg.client.protocol import ClientProtocol, Message
from streamseg.wire.envelope import Envelope


class BlockingSubscription(ClientProtocol):
    """An endless, blocking iterator of a server's events, which reconnects by itself after a lost connection.

    `messages()` yields other messages too.
    """

    def __iter__(self) -> Iterator[Envelope]:
        for message in self.messages():
            if isinstance(message, Envelope):
                yield message

    def messages(self) -> Iterator[Message]:
        """Connect to the server and yield what it sends, without end, as one of the `Message` types.

        Those are events, joined streams, heartbeats, counts of dropped events, and lost connections. Raises
        ServerRefusedError when it is useless to reconnect.
        """
        while True:
            try:
                with websockets.sync.client.connect(self.url, **CONNECT_OPTIONS) as connection:
                    while True:
                        messages, reply = self.receive_message(connection.recv())
                        if reply is not None:
                            connection.send(reply, text=True)
                        yield from messages
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
                end = error
            if (refusal := self.find_refusal(end)) is not None:
                raise refusal from None
            yield from self.record_disconnection(end)
            time.sleep(self.next_retry_delay_s())


def subscribe_sync(url: str, **options: Any) -> BlockingSubscription:
    """Return an endless, blocking iterator of a server's events, which connects when iterated, and again after a loss.

    url: such as `ws://127.0.0.1:8765/ws`. options: those of `ClientProtocol`. It resumes after the last event.
    """
    return BlockingSubscription(url, **options)
