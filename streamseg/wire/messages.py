"""The messages of the WebSocket, requests and their responses aside (`requests.py`).

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
    """The challenge that `identify` must answer with a proof of the token."""

    scheme: Literal["hmac-sha256"]
    challenge: str


class HistoryLimits(msgspec.Struct, frozen=True):
    """How many events, and of how many seconds, the history keeps of each stream; zeros without a history."""

    events: int
    seconds: float


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The first message of the server."""

    server: str
    protocol: int
    min_protocol: int
    auth: AuthChallenge | None
    heartbeat_s: float
    max_queue_bytes: int
    history: HistoryLimits
    streams: list[str]


class EventCursor(msgspec.Struct, frozen=True):
    """A place in a stream: right after the event with this epoch and offset. 0 is the beginning of the epoch."""

    epoch: ShortText
    offset: Offset


class Identify(msgspec.Struct, frozen=True, kw_only=True):
    """The first message of a client. `streams` or `subscribe` absent: all, high-volume topics aside."""

    protocol: int
    client: Annotated[str, Meta(max_length=200)] = ""
    auth: Annotated[str, Meta(max_length=128)] | None = None
    streams: list[ShortText] | None = None
    subscribe: list[Topic] | None = None
    min_state: MinState = "provisional"
    resume: dict[ShortText, EventCursor] = {}


class JoinedStream(msgspec.Struct, frozen=True, kw_only=True):
    """The place in one stream at which a client starts: `snapshot` is the state right after `offset`.

    Without a snapshot and with `recovered` false, a message `snapshot` follows, and the client starts there.
    """

    epoch: str
    offset: int
    recovered: bool
    replayed: int
    snapshot: Snapshot | UnsetType = UNSET


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """The client is accepted; where it starts in each of its streams."""

    protocol: int
    session: str
    role: Role
    streams: dict[str, JoinedStream]


class StreamSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot of a stream that did not fit into `identified`.

    It is the state right after `offset`, and the client starts there: the next event of the stream is the one after it.
    """

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HeartbeatEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stream is.

    offset: a cursor; every event up to it was sent. kept: false while events are not written to the history.
    """

    epoch: str
    t: float
    watermark: float
    lag_s: float
    offset: int
    dropped_samples: int
    kept: bool


class Heartbeat(msgspec.Struct, frozen=True):
    """How far each stream of the client is."""

    streams: dict[str, HeartbeatEntry]


class EventsDropped(msgspec.Struct, frozen=True):
    """`n` high-volume events of topic `type` were not sent, because the client reads too slowly."""

    type: str
    n: int
