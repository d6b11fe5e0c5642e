"""Subscribes to a server's events with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from streamseg.client.connect_options import CONNECT_OPTIONS
from streamseg.client.protocol import ClientProtocol, Message
from streamseg.wire.envelope import Envelope


class Subscription(ClientProtocol):
    """An endless asynchronous iterator of a server's events, which reconnects by itself after a lost connection.

    `messages()` yields other messages too.
    """

    def __aiter__(self) -> AsyncGenerator[Envelope, None]:
        return self._events()

    async def _events(self) -> AsyncGenerator[Envelope, None]:
        async with contextlib.aclosing(self.messages()) as messages:
            async for message in messages:
                if isinstance(message, Envelope):
                    yield message

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Connect to the server and yield what it sends, without end, as one of the `Message` types.

        Those are events, joined streams, heartbeats, counts of dropped events, and lost connections. Raises
        ServerRefusedError when it is useless to reconnect.
        """
        while True:
            try:
                async with websockets.asyncio.client.connect(self.url, **CONNECT_OPTIONS) as connection:
                    while True:
                        messages, reply = self.receive_message(await connection.recv())
                        if reply is not None:
                            await connection.send(reply, text=True)
                        for message in messages:
                            yield message
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
                end = error
            if (refusal := self.find_refusal(end)) is not None:
                raise refusal from None
            for message in self.record_disconnection(end):
                yield message
            await asyncio.sleep(self.next_retry_delay_s())


def subscribe(url: str, **options: Any) -> Subscription:
    """Return an endless async iterator of a server's events, which connects when iterated, and again after a loss.

    url: such as `ws://127.0.0.1:8765/ws`. options: those of `ClientProtocol`. It resumes after the last event.
    """
    return Subscription(url, **options)
