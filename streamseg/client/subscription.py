"""An asynchronous subscription to a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from streamseg.client.session import MAX_MESSAGE_BYTES, SUBPROTOCOL, ClientSession, Message
from streamseg.wire.envelope import Envelope


class Subscription(ClientSession):
    """An endless async iterator of events; `messages()` also gives what is said beside them."""

    def __aiter__(self) -> AsyncGenerator[Envelope, None]:
        return self._events()

    async def _events(self) -> AsyncGenerator[Envelope, None]:
        async with contextlib.aclosing(self.messages()) as messages:
            async for message in messages:
                if isinstance(message, Envelope):
                    yield message

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Events and what is said beside them (`Message`). Raises ConnectionRefused when trying again is no use."""
        while True:
            try:
                async with websockets.asyncio.client.connect(
                    self.url, subprotocols=[SUBPROTOCOL], compression=None, max_size=MAX_MESSAGE_BYTES, proxy=None
                ) as connection:
                    while True:
                        messages, answer = self.receive_message(await connection.recv())
                        if answer is not None:
                            await connection.send(answer, text=True)
                        for message in messages:
                            yield message
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
                ended = error
            if (refusal := self.refusal_of(ended)) is not None:
                raise refusal from None
            for message in self.disconnected(ended):
                yield message
            await asyncio.sleep(self.next_retry_delay_s())


def subscribe(url: str, **options: Any) -> Subscription:
    """Events of a server, as an async iterator. Options are those of `ClientSession`."""
    return Subscription(url, **options)
