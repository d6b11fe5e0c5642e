"""Sends a single request to a server."""

from __future__ import annotations

from typing import Any

import msgspec
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from streamseg.client.connect_options import CONNECT_OPTIONS
from streamseg.client.protocol import ClientProtocol, RawServerMessage, sanitize_server_text
from streamseg.errors import NotFoundOnServerError, ServerRefusedError
from streamseg.wire.codes import RequestErrorCode


def send_request(
    url: str, type: str, *, stream: str | None = None, token: str | None = None, timeout_s: float = 10.0, **fields: Any
) -> dict[str, Any]:
    """Connect to a server, send one request, return the response; raise ServerRefusedError if the server refuses.

    url: such as `ws://127.0.0.1:8765/ws`. type: `name`, `mark`, `acknowledge`, `set`, `finish`, `reset` … stream: a
    name; may be None if the server has only one stream, which the response then names. token: of the server, None
    without one. timeout_s: seconds to wait for each message. fields: further fields of the request, such as `label`
    and `name`.

    Raises ServerRefusedError when the server cannot be reached, does not accept this client or refuses the request; its
    subclass NotFoundOnServerError when the server has no such stream, label or alarm, or when it has several streams
    and none was named.
    """
    protocol = ClientProtocol(url, streams=[], subscribe=[], token=token)  # a request needs no stream's state
    try:
        with websockets.sync.client.connect(url, **CONNECT_OPTIONS) as connection:
            while True:
                text = connection.recv(timeout_s)
                _, reply = protocol.receive_message(text)
                message = msgspec.json.decode(text, type=RawServerMessage)
                if message.op == "response":
                    return {**_read_response(url, message.d), "stream": stream}
                if message.op == "identified":
                    stream = _choose_stream(url, stream, protocol.hello["streams"])
                    request = {"id": 1, "type": type, "stream": stream, **fields}
                    reply = msgspec.json.encode({"op": "request", "d": request})
                if reply is not None:
                    connection.send(reply, text=True)
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
        raise protocol.find_refusal(error) or ServerRefusedError(
            f"no answer from {url}: {sanitize_server_text(str(error))}"
        ) from None


def _read_response(url: str, d: msgspec.Raw) -> dict[str, Any]:
    response: dict[str, Any] = msgspec.json.decode(d)
    if response["ok"]:
        return response
    error = response["error"]
    refusal = NotFoundOnServerError if error.get("code") == RequestErrorCode.NOT_FOUND else ServerRefusedError
    raise refusal(f"{url} refuses: {sanitize_server_text(error['message'])}")


def _choose_stream(url: str, stream: str | None, names: list[str]) -> str:
    """Return the stream that was named, or the only one there is. Raises NotFoundOnServerError."""
    if stream is None and len(names) == 1:
        return names[0]
    listing = sanitize_server_text(", ".join(names)) or "none"
    if stream is None:
        raise NotFoundOnServerError(
            f"{url} has {len(names)} streams and none was named; choose one with stream=NAME, on the "
            f"command line --stream NAME, of: {listing}"
        )
    if stream not in names:
        raise NotFoundOnServerError(f"{url} has no stream {stream!r}; it has {listing}")
    return stream
