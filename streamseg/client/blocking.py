"""A blocking subscription to a server, and single requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from streamseg.client.session import (
    _NOT_FOUND,
    MAX_MESSAGE_BYTES,
    SUBPROTOCOL,
    ClientSession,
    Message,
    ReceivedMessage,
    _shown,
)
from streamseg.errors import ServerRefusedError, SubjectNotFoundError
from streamseg.wire.envelope import Envelope


class BlockingSubscription(ClientSession):
    """The same for programs without an event loop."""

    def __iter__(self) -> Iterator[Envelope]:
        for message in self.messages():
            if isinstance(message, Envelope):
                yield message

    def messages(self) -> Iterator[Message]:
        """Events and what is said beside them (`Message`). Raises ConnectionRefused when trying again is no use."""
        while True:
            try:
                with websockets.sync.client.connect(
                    self.url, subprotocols=[SUBPROTOCOL], compression=None, max_size=MAX_MESSAGE_BYTES, proxy=None
                ) as connection:
                    while True:
                        messages, answer = self.receive_message(connection.recv())
                        if answer is not None:
                            connection.send(answer, text=True)
                        yield from messages
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
                ended = error
            if (refusal := self.refusal_of(ended)) is not None:
                raise refusal from None
            yield from self.disconnected(ended)
            time.sleep(self.next_retry_delay_s())


def subscribe_sync(url: str, **options: Any) -> BlockingSubscription:
    """Events of a server, as an ordinary, blocking iterator. Options are those of `ClientSession`."""
    return BlockingSubscription(url, **options)


def send_request(
    url: str, type: str, *, stream: str | None = None, token: str | None = None, timeout_s: float = 10.0, **fields: Any
) -> dict[str, Any]:
    """Ask a server for one thing (`name`, `mark`, `acknowledge`, `finish`, `reset` …) and return its answer.

    stream: may be left out when the server has only one; the answer names it. Raises ConnectionRefused when the
    server cannot be reached, does not let us in, or will not do it; its subclass SubjectNotFoundError when the server
    has no such stream, label or alarm, or several streams and none was named.
    """
    session = ClientSession(url, streams=[], subscribe=[], token=token)  # a request needs none of the streams' states
    try:
        with websockets.sync.client.connect(
            url, subprotocols=[SUBPROTOCOL], compression=None, max_size=MAX_MESSAGE_BYTES, proxy=None
        ) as connection:
            while True:
                text = connection.recv(timeout_s)
                _, reply = session.receive_message(text)
                received = msgspec.json.decode(text, type=ReceivedMessage)
                if received.op == "response":
                    answer: dict[str, Any] = msgspec.json.decode(received.d)
                    if not answer["ok"]:
                        refusal = (
                            SubjectNotFoundError if answer["error"].get("code") == _NOT_FOUND else ServerRefusedError
                        )
                        raise refusal(f"{url} refuses: {_shown(answer['error']['message'])}")
                    return {**answer, "stream": stream}
                if received.op == "identified":
                    known = session.hello["streams"]
                    if stream is None and len(known) == 1:
                        stream = known[0]
                    if stream is None:
                        raise SubjectNotFoundError(
                            f"{url} has {len(known)} streams and none was named; choose one with stream=NAME, on the "
                            f"command line --stream NAME, of: {_shown(', '.join(known)) or 'none'}"
                        )
                    if stream not in known:
                        raise SubjectNotFoundError(
                            f"{url} has no stream {stream!r}; it has {_shown(', '.join(known)) or 'none'}"
                        )
                    asked = {"id": 1, "type": type, "stream": stream, **fields}
                    reply = msgspec.json.encode({"op": "request", "d": asked})
                if reply is not None:
                    connection.send(reply, text=True)
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
        raise session.refusal_of(error) or ServerRefusedError(f"no answer from {url}: {_shown(str(error))}") from None
