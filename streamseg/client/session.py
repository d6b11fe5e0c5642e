"""Listen to a streamseg server from Python.

::

    async for event in subscribe("ws://127.0.0.1:8765/ws"):
        print(event.type, event.data)

A subscription outlives its connections: it comes back with back-off and jitter, and resumes after the last event
it gave out, so its user sees every event once. Where the server no longer has them all, `Joined.recovered` says so
and its snapshot is the place to start from. `listen` is the same without asyncio.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from streamseg import __version__
from streamseg.errors import ServerRefusedError, SubjectNotFoundError
from streamseg.wire.envelope import Envelope, decode_envelope
from streamseg.wire.printable import make_one_line

SUBPROTOCOL = Subprotocol("streamseg.v1.json")
PROTOCOL = 1
_WRONG_VALUE = 4005
_FATAL_CLOSE_CODES = frozenset(
    (4002, 4003, 4004, 4005, 4006, 4008, 4009, 4010)
)  # asked wrongly: the same again is no use
_NOT_FOUND = 600  # the code of a refused request that names something that does not exist
_MIN_RETRY_S = 0.1
_MAX_RETRY_S = 10.0
MAX_MESSAGE_BYTES = 16 * 2**20
_SHOWN_BYTES = 1024  # of a refusal's page
_SHOWN_CHARACTERS = 300  # of what a server says, in a message


class ResumePoint(msgspec.Struct, frozen=True):
    """The last event of a stream that was given out."""

    epoch: str
    offset: int


class StreamJoined(msgspec.Struct, frozen=True, kw_only=True):
    """We hear a stream, again or for the first time; it comes before the events of the stream.

    recovered: every event since the last one that was given out follows, `replayed` of them at once. Otherwise there
    is always a `snapshot`, the state right after `offset`: forget what was known of the stream and start from there.
    snapshot: may be None where `recovered` is true, because a server does not send many that nobody needs.
    """

    stream: str
    epoch: str
    offset: int
    recovered: bool
    replayed: int
    snapshot: dict[str, Any] | None = None


class StreamHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is, in stream seconds; nothing at or before `watermark` changes any more."""

    stream: str
    epoch: str
    t: float
    watermark: float
    lag_s: float
    offset: int
    dropped_samples: int
    kept: bool = True


class EventsDropped(msgspec.Struct, frozen=True):
    """So many high-volume events of a topic were left out because we read too slowly."""

    type: str
    n: int


class Disconnected(msgspec.Struct, frozen=True):
    """A connection that stood is gone; another is tried. `code` and `reason` of its end; None where it just broke."""

    code: int | None
    reason: str


Message: TypeAlias = Envelope | StreamJoined | StreamHeartbeat | EventsDropped | Disconnected


class ClientSession:
    """What both clients share: the conversation and its memory, without a socket.

    `cursors`, `snapshots`, `heartbeats`, `recovered` and `kept` hold the latest of each stream, by name. `kept` is
    false while the server's disk fails: what is heard then cannot be resumed from. A snapshot is the state when its
    `Joined` was given out, and does not follow the events.
    """

    def __init__(
        self,
        url: str,
        *,
        streams: Iterable[str] | None = None,
        subscribe: Iterable[str] | None = None,
        min_state: Literal["provisional", "confirmed"] = "provisional",
        token: str | None = None,
        resume: dict[str, ResumePoint] | None = None,
        name: str = f"streamseg-python/{__version__}",
    ) -> None:
        self.url = url
        self.cursors: dict[str, ResumePoint] = dict(resume or {})
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.heartbeats: dict[str, StreamHeartbeat] = {}
        self.recovered: dict[str, bool] = {}
        self.is_recorded: dict[str, bool] = {}
        self.hello: dict[str, Any] = {}
        self.streams: list[str] = []  # those that the last `identified` named
        self.connections = 0
        self._identify_fields: dict[str, Any] = {"protocol": PROTOCOL, "client": name, "min_state": min_state}
        if streams is not None:
            self._identify_fields["streams"] = list(streams)
        if subscribe is not None:
            self._identify_fields["subscribe"] = list(subscribe)
        self._token = token
        self._attempt = 0
        self._stands = False  # whether we are identified on the present connection

    def receive_message(self, text: str | bytes) -> tuple[list[Message], bytes | None]:
        """Take in one message of the server: what it means to the user, and what to answer.

        Raises ConnectionRefused when the server asks for a token that we have not, or speaks another protocol.
        """
        try:
            return self._receive(text)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
            # Whatever is not as agreed comes from a server that is none of ours.
            why = _shown(f"{type(error).__name__}: {error}")
            raise ServerRefusedError(f"{self.url} does not speak streamseg's protocol ({why})") from error

    def _receive(self, text: str | bytes) -> tuple[list[Message], bytes | None]:
        received = msgspec.json.decode(text, type=ReceivedMessage)
        if received.op == "event":
            return self._on_event(received.d, received.kept), None
        d = msgspec.json.decode(received.d)
        match received.op:
            case "hello":
                return [], self._make_identify(d)
            case "identified":
                return self._on_identified(d["streams"]), None
            case "snapshot":
                self._attempt = 0
                return [self._joined({"recovered": False, "replayed": 0, **d})], None
            case "heartbeat":
                return self._on_heartbeat(d["streams"]), None
            case "dropped":
                return [EventsDropped(d["type"], d["n"])], None
            case _:
                return [], None  # a newer server may say more than we know

    def disconnected(self, error: Exception) -> list[Message]:
        """The connection ended in this error: what that means to the user. Nothing where it had not stood."""
        stood, self._stands = self._stands, False
        if not stood:
            return []
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            return [Disconnected(error.rcvd.code, error.rcvd.reason)]
        return [Disconnected(None, str(error))]

    def refusal_of(self, error: Exception) -> ServerRefusedError | None:
        """Whether trying again is no use."""
        if isinstance(error, ConnectionClosed) and error.rcvd is not None:
            code = error.rcvd.code
            if code in _FATAL_CLOSE_CODES or 4500 <= code < 4600:
                refusal = (
                    SubjectNotFoundError if code == _WRONG_VALUE and self._asks_unknown_stream() else ServerRefusedError
                )
                return refusal(f"{self.url} closed with {code}: {_shown(error.rcvd.reason)}")
        if isinstance(error, InvalidStatus) and 400 <= error.response.status_code < 500:
            if error.response.status_code == 429:
                return None
            why = (error.response.body or b"")[:_SHOWN_BYTES].decode(errors="replace")
            return ServerRefusedError(f"{self.url} answered {error.response.status_code}: {_shown(why)}")
        if isinstance(error, InvalidURI):
            return ServerRefusedError(f"not a WebSocket address: {self.url} (ws://host:port/ws)")
        return None

    def _asks_unknown_stream(self) -> bool:
        offered = self.hello.get("streams")
        return isinstance(offered, list) and any(
            name not in offered for name in self._identify_fields.get("streams", ())
        )

    def next_retry_delay_s(self) -> float:
        """How long to wait before trying again: doubling, and a random part of it, lest all come back at once."""
        longest = min(_MAX_RETRY_S, _MIN_RETRY_S * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 16)
        return random.uniform(0, longest)

    def _make_identify(self, hello: dict[str, Any]) -> bytes:
        self.hello = hello
        if not hello["min_protocol"] <= PROTOCOL <= hello["protocol"]:
            raise ServerRefusedError(f"{self.url} speaks protocol {hello['protocol']}, this client {PROTOCOL}")
        d = dict(self._identify_fields)
        if hello["auth"] is not None and self._token is not None:
            challenge = hello["auth"]["challenge"]
            d["auth"] = hmac.new(self._token.encode(), challenge.encode(), hashlib.sha256).hexdigest()
        if self.cursors:
            d["resume"] = self.cursors
        return msgspec.json.encode({"op": "identify", "d": d})

    def _on_identified(self, streams: dict[str, Any]) -> list[Message]:
        self.connections += 1
        self._stands = True
        self.streams = list(streams)
        # A stream that was not recovered and has no snapshot yet is joined when its message `snapshot` comes. Until
        # then its cursor stays where it is: nothing after that was given out.
        return [
            self._joined({"stream": name, **where})
            for name, where in streams.items()
            if where["recovered"] or where.get("snapshot") is not None
        ]

    def _joined(self, where: dict[str, Any]) -> StreamJoined:
        joined = msgspec.convert(where, StreamJoined)
        self.recovered[joined.stream] = joined.recovered
        if joined.snapshot is not None:
            self.snapshots[joined.stream] = joined.snapshot
        if not joined.recovered:
            self.cursors[joined.stream] = ResumePoint(joined.epoch, joined.offset)
        return joined

    def _on_event(self, d: msgspec.Raw, is_recorded: bool) -> list[Message]:
        self._attempt = 0
        envelope = decode_envelope(bytes(d))
        if isinstance(envelope.offset, int):
            stream = envelope.source.removeprefix("/streams/")
            self.cursors[stream], self.is_recorded[stream] = ResumePoint(envelope.epoch, envelope.offset), is_recorded
        return [envelope]

    def _on_heartbeat(self, streams: dict[str, Any]) -> list[Message]:
        self._attempt = 0
        beats = [msgspec.convert({"stream": name, **beat}, StreamHeartbeat) for name, beat in streams.items()]
        for beat in beats:
            self.heartbeats[beat.stream] = beat
            self.cursors[beat.stream], self.is_recorded[beat.stream] = ResumePoint(beat.epoch, beat.offset), beat.kept
        return list(beats)


class ReceivedMessage(msgspec.Struct):
    """A message of the server, its data not decoded yet."""

    op: str
    d: msgspec.Raw
    kept: bool = True  # beside an event


def _shown(text: str) -> str:
    """What a server says, fit for a message: on one line, without control characters, not too long."""
    return make_one_line(text, _SHOWN_CHARACTERS)
