"""The client's side of the protocol, without a socket: makes replies and the user's messages from the server's.

`Subscription` (asyncio) and `BlockingSubscription` add the socket::

    async for event in subscribe("ws://127.0.0.1:8765/ws"):
        print(event.type, event.data)

A subscription outlives its connections. It reconnects with back-off and jitter, and resumes after the last event that
it returned, so its user gets every event once. Where the server no longer has all events, `StreamJoined.is_recovered`
is false, and its snapshot is the state to start from.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI

from streamseg import __version__
from streamseg.errors import NotFoundOnServerError, ServerRefusedError
from streamseg.wire.codes import CloseCode
from streamseg.wire.envelope import Envelope, decode_envelope
from streamseg.wire.messages import PROTOCOL_VERSION, EventCursor, EventsDropped
from streamseg.wire.printable import make_one_line
from streamseg.wire.token_proof import compute_proof
from streamseg.wire.topics import MinState, check_topics

# After these a client that sends the same again is closed again.
_FATAL_CLOSE_CODES = frozenset(
    (
        CloseCode.UNREADABLE,
        CloseCode.MISSING_FIELD,
        CloseCode.WRONG_TYPE,
        CloseCode.WRONG_VALUE,
        CloseCode.UNKNOWN_OP,
        CloseCode.ALREADY_IDENTIFIED,
        CloseCode.NOT_AUTHORISED,
        CloseCode.UNSUPPORTED_VERSION,
    )
)
_NO_RECONNECT_CODES = range(4500, 4600)  # of obs-websocket's protocol: do not reconnect
_MIN_RETRY_S = 0.1
_MAX_RETRY_S = 10.0
_MAX_REFUSAL_BYTES = 1024  # of the body of an HTTP refusal
_MAX_TEXT_LENGTH = 300  # characters of the server's text in an error message


class StreamJoined(msgspec.Struct, frozen=True, kw_only=True):
    """A message that `messages()` yields after each connection, before a stream's events; it tells if any were lost.

    is_recovered: whether every event since the last one that was returned follows, the first `replayed_count` of them
    from the history. If not, `snapshot` is the state right after `offset`: discard what was known of the stream and
    start from there. It may be None where `is_recovered` is true, because a server leaves out snapshots that nobody
    needs.
    """

    stream: str
    epoch: str
    offset: int
    is_recovered: bool = msgspec.field(name="recovered")
    replayed_count: int = msgspec.field(name="replayed")
    snapshot: dict[str, Any] | None = None


class StreamHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A message that `messages()` yields at regular intervals: how far the server has processed and sent a stream.

    t: stream seconds processed. watermark: stream seconds; nothing at or before it changes any more. lag_s: seconds
    that the engine is behind the sound. offset: of the last event sent. dropped_samples: samples lost in this epoch,
    per channel. is_recorded: false while the server cannot write its history.
    """

    stream: str
    epoch: str
    t: float
    watermark: float
    lag_s: float
    offset: int
    dropped_samples: int
    is_recorded: bool = msgspec.field(default=True, name="kept")


class Disconnected(msgspec.Struct, frozen=True):
    """A message that `messages()` yields when the connection to the server was lost; the subscription connects again.

    code, reason: of the server's close frame; code None without one.
    """

    code: int | None
    reason: str


Message: TypeAlias = Envelope | StreamJoined | StreamHeartbeat | EventsDropped | Disconnected


class MessagesAndReply(NamedTuple):
    """The result of `receive_message`: messages for the user, and the JSON text to send back, or None for no reply."""

    messages: list[Message]
    reply: bytes | None


class RawServerMessage(msgspec.Struct):
    """A message received from the server: its kind `op` is decoded, its content `d` is still JSON text.

    op: the kind of message. is_recorded: false for an event that is not in the history.
    """

    op: str
    d: msgspec.Raw
    is_recorded: bool = msgspec.field(default=True, name="kept")


class ClientProtocol:
    """The client's side of the protocol, without a socket: reads the server's messages, makes replies, plans retries.

    One object serves all connections of one client, one after the other; subclasses add the socket.

    `cursors`, `snapshots`, `heartbeats`, `is_recovered` and `is_recorded` hold the latest value of each stream.
    `is_recorded` is false while the server cannot write its history: events received then cannot be resumed from.
    A snapshot is the state at its `StreamJoined`; later events do not change it. `hello`: the server's first message.
    `streams`: the streams of the last `identified`. `connections`: how often the server accepted this client.
    """

    def __init__(
        self,
        url: str,
        *,
        streams: Iterable[str] | None = None,
        subscribe: Iterable[str] | None = None,
        min_state: MinState = "provisional",
        token: str | None = None,
        resume: dict[str, EventCursor] | None = None,
        name: str = f"streamseg-python/{__version__}",
    ) -> None:
        """Choose which events to request. Does not connect.

        streams: names; None for all. subscribe: topics; None for all but the high-volume ones. min_state: "confirmed"
        leaves provisional boundaries out. token: of the server, None without one. resume: by stream, the last event
        received in an earlier session. name: of this client. Raises UsageError for a topic that does not exist.
        """
        self.url = url
        self.cursors: dict[str, EventCursor] = dict(resume or {})
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.heartbeats: dict[str, StreamHeartbeat] = {}
        self.is_recovered: dict[str, bool] = {}
        self.is_recorded: dict[str, bool] = {}
        self.hello: dict[str, Any] = {}
        self.streams: list[str] = []
        self.connections = 0
        self._identify_fields: dict[str, Any] = {"protocol": PROTOCOL_VERSION, "client": name, "min_state": min_state}
        if streams is not None:
            self._identify_fields["streams"] = list(streams)
        if subscribe is not None:
            self._identify_fields["subscribe"] = check_topics(subscribe)
        self._token = token
        self._attempt = 0
        self._is_identified = False  # on the present connection

    def receive_message(self, text: str | bytes) -> MessagesAndReply:
        """Decode one message from the server and update this client; return the messages for the user and the reply.

        Raises ServerRefusedError when the server needs a token that this client does not have, or uses another
        protocol.
        """
        try:
            return self._process_message(text)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
            # A server that breaks the protocol is not a streamseg server.
            why = sanitize_server_text(f"{type(error).__name__}: {error}")
            raise ServerRefusedError(f"{self.url} does not speak streamseg's protocol ({why})") from error

    def _process_message(self, text: str | bytes) -> MessagesAndReply:
        message = msgspec.json.decode(text, type=RawServerMessage)
        if message.op == "event":
            return MessagesAndReply(self._receive_event(message.d, message.is_recorded), None)
        d = msgspec.json.decode(message.d)
        match message.op:
            case "hello":
                return MessagesAndReply([], self._make_identify(d))
            case "identified":
                return MessagesAndReply(self._receive_identified(d["streams"]), None)
            case "snapshot":
                self._attempt = 0
                return MessagesAndReply([self._join_stream({"recovered": False, "replayed": 0, **d})], None)
            case "heartbeat":
                return MessagesAndReply(self._receive_heartbeat(d["streams"]), None)
            case "dropped":
                return MessagesAndReply([EventsDropped(d["type"], d["n"])], None)
            case _:
                return MessagesAndReply([], None)  # a newer server may send operations that this client does not know

    def record_disconnection(self, error: Exception) -> list[Message]:
        """Mark the client as disconnected; return one `Disconnected`, or nothing if the server had not accepted it yet.

        error: with which the connection ended.
        """
        was_identified, self._is_identified = self._is_identified, False
        if not was_identified:
            return []
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            return [Disconnected(error.rcvd.code, error.rcvd.reason)]
        return [Disconnected(None, str(error))]

    def find_refusal(self, error: Exception) -> ServerRefusedError | None:
        """Return the error to raise if it is useless to reconnect after `error`; None if the client shall reconnect."""
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            code = error.rcvd.code
            if code in _FATAL_CLOSE_CODES or code in _NO_RECONNECT_CODES:
                is_unknown = code == CloseCode.WRONG_VALUE and self._names_unknown_stream()
                refusal = NotFoundOnServerError if is_unknown else ServerRefusedError
                return refusal(f"{self.url} closed with {code}: {sanitize_server_text(error.rcvd.reason)}")
        if isinstance(error, InvalidStatus) and 400 <= error.response.status_code < 500:
            if error.response.status_code == 429:
                return None
            why = (error.response.body or b"")[:_MAX_REFUSAL_BYTES].decode(errors="replace")
            return ServerRefusedError(f"{self.url} answered {error.response.status_code}: {sanitize_server_text(why)}")
        if isinstance(error, InvalidURI):
            return ServerRefusedError(f"not a WebSocket address: {self.url} (ws://host:port/ws)")
        return None

    def _names_unknown_stream(self) -> bool:
        stream_names = self.hello.get("streams")
        return isinstance(stream_names, list) and any(
            name not in stream_names for name in self._identify_fields.get("streams", ())
        )

    def next_retry_delay_s(self) -> float:
        """Return the seconds to wait before connecting again: random, up to a bound that doubles with each call.

        Being random, it keeps clients that were disconnected together from returning together.
        """
        longest = min(_MAX_RETRY_S, _MIN_RETRY_S * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 16)
        return random.uniform(0, longest)

    def _make_identify(self, hello: dict[str, Any]) -> bytes:
        self.hello = hello
        if not hello["min_protocol"] <= PROTOCOL_VERSION <= hello["protocol"]:
            raise ServerRefusedError(f"{self.url} speaks protocol {hello['protocol']}, this client {PROTOCOL_VERSION}")
        d = dict(self._identify_fields)
        if hello["auth"] is not None and self._token is not None:
            d["auth"] = compute_proof(self._token, hello["auth"]["challenge"])
        if self.cursors:
            d["resume"] = self.cursors
        return msgspec.json.encode({"op": "identify", "d": d})

    def _receive_identified(self, streams: dict[str, Any]) -> list[Message]:
        self.connections += 1
        self._is_identified = True
        self.streams = list(streams)
        # A stream that was not recovered and has no snapshot yet is joined when its message `snapshot` arrives. Until
        # then its cursor stays where it is: no event after it was returned.
        return [
            self._join_stream({"stream": name, **entry})
            for name, entry in streams.items()
            if entry["recovered"] or entry.get("snapshot") is not None
        ]

    def _join_stream(self, fields: dict[str, Any]) -> StreamJoined:
        message = msgspec.convert(fields, StreamJoined)
        self.is_recovered[message.stream] = message.is_recovered
        if message.snapshot is not None:
            self.snapshots[message.stream] = message.snapshot
        if not message.is_recovered:
            self.cursors[message.stream] = EventCursor(message.epoch, message.offset)
        return message

    def _receive_event(self, d: msgspec.Raw, is_recorded: bool) -> list[Message]:
        self._attempt = 0
        envelope = decode_envelope(bytes(d))
        if isinstance(envelope.offset, int):
            stream = envelope.source.removeprefix("/streams/")
            self.cursors[stream], self.is_recorded[stream] = EventCursor(envelope.epoch, envelope.offset), is_recorded
        return [envelope]

    def _receive_heartbeat(self, streams: dict[str, Any]) -> list[Message]:
        self._attempt = 0
        heartbeats = [msgspec.convert({"stream": name, **entry}, StreamHeartbeat) for name, entry in streams.items()]
        for heartbeat in heartbeats:
            stream = heartbeat.stream
            self.heartbeats[stream] = heartbeat
            self.cursors[stream] = EventCursor(heartbeat.epoch, heartbeat.offset)
            self.is_recorded[stream] = heartbeat.is_recorded
        return list(heartbeats)


def sanitize_server_text(text: str) -> str:
    """Return a text from a server as one line without control characters, cut to 300 characters, for error messages."""
    return make_one_line(text, _MAX_TEXT_LENGTH)
