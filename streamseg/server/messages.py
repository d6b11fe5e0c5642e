"""What is said over the WebSocket: the messages, the close codes, and how a message becomes a frame.

Every message is `{"op": …, "d": {…}}`. What a client sends is read into these structs, which check it; what the
server sends is written from them; the AsyncAPI document is generated from them. A message is encoded once and
its frame shared by all who get it: server frames carry no mask and compression is off, so the bytes are the same.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from streamseg import __version__
from streamseg.errors import AskedWrongly
from streamseg.label_names import checked_name
from streamseg.server.snapshot import Snapshot

SUBPROTOCOL = "streamseg.v1.json"
PROTOCOL = 1
SERVER = f"streamseg/{__version__}"

Topic: TypeAlias = Literal["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"]
HIGH_VOLUME: frozenset[Topic] = frozenset(("meter", "novelty"))
TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
MinState: TypeAlias = Literal["provisional", "confirmed"]
Verdict: TypeAlias = Literal["confirm", "reject", "boundary"]

Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Sensitivity: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]


class CloseCode(IntEnum):
    """Why the server hung up. Those the protocol does not name are obs-websocket's."""

    GOING_AWAY = 1001
    UNREADABLE = 4002
    MISSING_FIELD = 4003
    WRONG_TYPE = 4004
    WRONG_VALUE = 4005
    UNKNOWN_OP = 4006
    NOT_IDENTIFIED = 4007
    ALREADY_IDENTIFIED = 4008
    NOT_AUTHORISED = 4009
    UNSUPPORTED_VERSION = 4010
    TOO_MANY_REQUESTS = 4029
    SLOW = 4308
    INSUFFICIENT_STATE = 4310


class Refusal(IntEnum):
    """Why a request was not met. obs-websocket's numbers; NOT_ALLOWED is Centrifugo's."""

    NOT_ALLOWED = 103
    UNKNOWN_TYPE = 204
    FAILED = 205
    MISSING_FIELD = 300
    WRONG_VALUE = 400
    WRONG_TYPE = 401
    NOT_FOUND = 600


class Auth(msgspec.Struct, frozen=True):
    """What an identification must answer."""

    scheme: Literal["hmac-sha256"]
    challenge: str


class Kept(msgspec.Struct, frozen=True):
    """How much history each stream has at most; zeros when none is kept."""

    events: int
    seconds: float


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The server's first word."""

    server: str
    protocol: int
    min_protocol: int
    auth: Auth | None
    heartbeat_s: float
    max_queue_bytes: int
    history: Kept
    streams: list[str]


class Cursor(msgspec.Struct, frozen=True):
    """The last event a client has: it wants what comes after."""

    epoch: Word
    offset: Offset


class Identify(msgspec.Struct, frozen=True, kw_only=True):
    """The client's first word. `streams` and `subscribe` absent: all, but for the high-volume topics."""

    protocol: int
    client: Annotated[str, Meta(max_length=200)] = ""
    auth: Annotated[str, Meta(max_length=128)] | None = None
    streams: list[Word] | None = None
    subscribe: list[Topic] | None = None
    min_state: MinState = "provisional"
    resume: dict[Word, Cursor] = {}


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client stands in one stream: `snapshot` is the state right after `offset`.

    Without a snapshot and with `recovered` false, a message `snapshot` follows; only then does the client stand there.
    """

    epoch: str
    offset: int
    recovered: bool
    replayed: int
    snapshot: Snapshot | UnsetType = UNSET


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    """The client is in."""

    protocol: int
    session: str
    role: Literal["read", "control"]
    streams: dict[str, Joined]


class StreamSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client begins in a stream whose snapshot did not fit into `identified`.

    `snapshot` is the state right after `offset`, which is the client's cursor from here on; the stream's next event is
    the one after it.
    """

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is. `offset` is a cursor: everything up to it was sent. `kept` false: history is failing."""

    epoch: str
    t: float
    watermark: float
    lag_s: float
    offset: int
    dropped_samples: int
    kept: bool


class Heartbeat(msgspec.Struct, frozen=True):
    """How far every stream the client listens to is."""

    streams: dict[str, Beat]


class Dropped(msgspec.Struct, frozen=True):
    """So many high-volume events of a topic did not fit into a slow client's queue."""

    type: str
    n: int


class Error(msgspec.Struct, frozen=True):
    """Why a request was not met: a `Refusal`, and a sentence."""

    code: int
    message: str


class Subscribe(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """Hear these topics too."""

    subscribe: list[Topic]


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    """Hear these topics no longer."""

    subscribe: list[Topic]


class SnapshotRequest(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """The state of a stream now."""

    stream: Word


class HistoryRequest(
    msgspec.Struct, frozen=True, tag_field="type", tag="history", rename={"first": "from", "last": "to"}
):
    """Events of one epoch, both offsets inclusive; the answer's `next` says where to go on, if it did not fit."""

    stream: Word
    epoch: Word
    first: Offset
    last: Offset


class Name(msgspec.Struct, frozen=True, tag_field="type", tag="name"):
    """Give a label a name. It is checked and kept as `streamseg.label_names` says."""

    stream: Word
    label: Word
    name: Word

    def __post_init__(self) -> None:
        try:
            msgspec.structs.force_setattr(self, "name", checked_name(self.name))
        except AskedWrongly as error:
            raise ValueError(str(error)) from None  # msgspec makes a ValidationError of it


class Mark(msgspec.Struct, frozen=True, tag_field="type", tag="mark"):
    """Judge the boundary at `t`, or say that there is one."""

    stream: Word
    t: Seconds
    verdict: Verdict


class Acknowledge(msgspec.Struct, frozen=True, tag_field="type", tag="acknowledge"):
    """Take notice of an alarm."""

    stream: Word
    alarm: Literal["silence", "clipping", "mono", "frozen"]


class Set(msgspec.Struct, frozen=True, tag_field="type", tag="set"):
    """Change a setting of a stream, from its next epoch on; `reset` begins one.

    sensitivity: how many changes are reported, 0 the fewest, 1 the most, .5 as shipped.
    """

    stream: Word
    sensitivity: Sensitivity


class Finish(msgspec.Struct, frozen=True, tag_field="type", tag="finish"):
    """Say everything pending and stop the stream."""

    stream: Word


class Reset(msgspec.Struct, frozen=True, tag_field="type", tag="reset"):
    """Begin a new epoch over the same source."""

    stream: Word


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A request was met. `id` is the request's."""

    id: int | str
    ok: bool = True


class Subscribed(Answer, frozen=True, kw_only=True):
    """What the client hears from now on."""

    subscribe: list[Topic]


class SetAnswer(Answer, frozen=True, kw_only=True):
    """What a stream is set to, and from when: the running epoch keeps its settings."""

    stream: str
    sensitivity: float
    effective: Literal["next_epoch"] = "next_epoch"


class SnapshotAnswer(Answer, frozen=True, kw_only=True):
    """The state of a stream right after `offset`."""

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HistoryAnswer(Answer, frozen=True, kw_only=True):
    """Events as they were sent. `next`: the offset to go on from, null when these are all."""

    stream: str
    epoch: str
    events: list[Any]
    next: int | None


class Refused(Answer, frozen=True, kw_only=True):
    """A request was not met."""

    ok: bool = False
    error: Error


Control: TypeAlias = Name | Mark | Acknowledge | Set | Finish | Reset
Request: TypeAlias = Subscribe | Unsubscribe | SnapshotRequest | HistoryRequest | Control
REQUESTS: dict[str, type[msgspec.Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (Subscribe, Unsubscribe, SnapshotRequest, HistoryRequest, *get_args(Control))
}

_encoder = msgspec.json.Encoder()


def message(op: str, d: Any) -> bytes:
    """The JSON text of one message."""
    return _encoder.encode({"op": op, "d": d})


def event_message(envelope_json: bytes, *, kept: bool = True) -> bytes:
    """An event's message around its already encoded envelope, which stays as it is; `kept` stands beside it."""
    mark = b"" if kept else b'"kept":false,'
    return b'{"op":"event",' + mark + b'"d":' + envelope_json + b"}"


def text_frame(text: bytes) -> bytes:
    """One unfragmented, unmasked WebSocket text frame (RFC 6455 §5.2)."""
    n = len(text)
    if n < 126:
        return bytes((0x81, n)) + text
    if n < 65_536:
        return b"\x81\x7e" + n.to_bytes(2, "big") + text
    return b"\x81\x7f" + n.to_bytes(8, "big") + text
