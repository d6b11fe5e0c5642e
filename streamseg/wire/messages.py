"""The messages of the WebSocket protocol, except requests and their responses (`requests.py`).

Every message is `{"op": …, "d": {…}}`. What a client sends is decoded into these structs, which validate it; what the
server sends is encoded from them; the AsyncAPI document is generated from them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from streamseg import __version__
from streamseg.wire.snapshot import Snapshot
from streamseg.wire.topics import MinState, Topic

SUBPROTOCOL = "streamseg.v1.json"
PROTOCOL_VERSION = 1
SERVER_NAME = f"streamseg/{__version__}"

Role: TypeAlias = Literal["read", "control"]
Verdict: TypeAlias = Literal["confirm", "reject", "boundary"]  # of a user on a boundary
ShortText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class AuthChallenge(msgspec.Struct, frozen=True):
    """The server's challenge, hex: the client proves in `identify` that it knows a token, without sending the token."""

    scheme: Literal["hmac-sha256"]
    challenge: str


class HistoryLimits(msgspec.Struct, frozen=True):
    """How much the history keeps of each stream: `events` events at most, `seconds` seconds old at most. 0: nothing."""

    events: int
    seconds: float


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The server's first message to a client: what the server is, its limits, and its streams.

    protocol, min_protocol: newest and oldest protocol version that it speaks. auth: None where it has no token.
    heartbeat_s: seconds between heartbeats. max_queue_bytes: unread bytes above which it closes the connection.
    streams: names of its streams.
    """

    server: str
    protocol: int
    min_protocol: int
    auth: AuthChallenge | None
    heartbeat_s: float
    max_queue_bytes: int
    history: HistoryLimits
    streams: list[str]


class EventCursor(msgspec.Struct, frozen=True):
    """A place in a stream: right after the event with this epoch and offset. Offset 0: at the start of the epoch."""

    epoch: ShortText
    offset: Offset


class Identify(msgspec.Struct, frozen=True, kw_only=True):
    """A client's first message: who it is, and which events it wants.

    protocol: its version. client: its name. auth: proof of a token, None without one. streams: names, None for all.
    subscribe: topics, None for all but the high-volume ones. min_state: "confirmed" leaves provisional boundaries out.
    resume: by stream, the last event that it received; the server sends the events after it.
    """

    protocol: int
    client: Annotated[str, Meta(max_length=200)] = ""
    auth: Annotated[str, Meta(max_length=128)] | None = None
    streams: list[ShortText] | None = None
    subscribe: list[Topic] | None = None
    min_state: MinState = "provisional"
    resume: dict[ShortText, EventCursor] = {}


class JoinedStream(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client starts in one stream: right after the event with this epoch and offset.

    recovered: whether the server sends every event since the client's cursor; `replayed` of them from the history.
    snapshot: the state right after `offset`. Where there is none and `recovered` is false, a message `snapshot`
    follows, and the client starts there.
    """

    epoch: str
    offset: int
    recovered: bool
    replayed: int
    snapshot: Snapshot | UnsetType = UNSET


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """The server accepted the client. role: what it may do. streams: by name, where it starts in each."""

    protocol: int
    session: str
    role: Role
    streams: dict[str, JoinedStream]


class StreamSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a stream right after `offset`, sent as its own message where it did not fit into `identified`.

    The client starts there: the next event of the stream is the one after `offset`.
    """

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HeartbeatEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stream has been processed and sent.

    t: stream seconds processed. watermark: stream seconds; nothing at or before it changes any more. lag_s: seconds
    that the engine is behind the sound. offset: every event up to it was sent. dropped_samples: samples lost in this
    epoch, per channel. kept: false while events are not written to the history.
    """

    epoch: str
    t: float
    watermark: float
    lag_s: float
    offset: int
    dropped_samples: int
    kept: bool


class Heartbeat(msgspec.Struct, frozen=True):
    """How far each stream of the client has been processed and sent, by name; sent at regular intervals."""

    streams: dict[str, HeartbeatEntry]


class EventsDropped(msgspec.Struct, frozen=True):
    """The server did not send `n` high-volume events of topic `type`, because the client reads too slowly."""

    type: str
    n: int
