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
from streamseg.errors import UsageError
from streamseg.wire.label_names import check_name
from streamseg.wire.snapshot import Snapshot

SUBPROTOCOL = "streamseg.v1.json"
PROTOCOL = 1
SERVER = f"streamseg/{__version__}"

Topic: TypeAlias = Literal["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"]
HIGH_VOLUME: frozenset[Topic] = frozenset(("meter", "novelty"))
TOPICS: frozenset[Topic] = frozenset(get_args(Topic))
MinState: TypeAlias = Literal["provisional", "confirmed"]
Verdict: TypeAlias = Literal["confirm", "reject", "boundary"]

ShortText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
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


class RequestErrorCode(IntEnum):
    """Why a request was not met. obs-websocket's numbers; NOT_ALLOWED is Centrifugo's."""

    NOT_ALLOWED = 103
    UNKNOWN_TYPE = 204
    FAILED = 205
    MISSING_FIELD = 300
    WRONG_VALUE = 400
    WRONG_TYPE = 401
    NOT_FOUND = 600


class AuthChallenge(msgspec.Struct, frozen=True):
    """What an identification must answer."""

    scheme: Literal["hmac-sha256"]
    challenge: str


class HistoryLimits(msgspec.Struct, frozen=True):
    """How much history each stream has at most; zeros when none is kept."""

    events: int
    seconds: float


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The server's first word."""

    server: str
    protocol: int
    min_protocol: int
    auth: AuthChallenge | None
    heartbeat_s: float
    max_queue_bytes: int
    history: HistoryLimits
    streams: list[str]


class Cursor(msgspec.Struct, frozen=True):
    """The last event a client has: it wants what comes after."""

    epoch: ShortText
    offset: Offset


class Identify(msgspec.Struct, frozen=True, kw_only=True):
    """The client's first word. `streams` and `subscribe` absent: all, but for the high-volume topics."""

    protocol: int
    client: Annotated[str, Meta(max_length=200)] = ""
    auth: Annotated[str, Meta(max_length=128)] | None = None
    streams: list[ShortText] | None = None
    subscribe: list[Topic] | None = None
    min_state: MinState = "provisional"
    resume: dict[ShortText, Cursor] = {}


class JoinedStream(msgspec.Struct, frozen=True, kw_only=True):
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
    streams: dict[str, JoinedStream]


class StreamSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client begins in a stream whose snapshot did not fit into `identified`.

    `snapshot` is the state right after `offset`, which is the client's cursor from here on; the stream's next event is
    the one after it.
    """

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HeartbeatEntry(msgspec.Struct, frozen=True, kw_only=True):
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

    streams: dict[str, HeartbeatEntry]


class Dropped(msgspec.Struct, frozen=True):
    """So many high-volume events of a topic did not fit into a slow client's queue."""

    type: str
    n: int


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why a request was not met: a `RequestErrorCode`, and a sentence."""

    code: int
    message: str


class SubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """Hear these topics too."""

    subscribe: list[Topic]


class UnsubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    """Hear these topics no longer."""

    subscribe: list[Topic]


class SnapshotRequest(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """The state of a stream now."""

    stream: ShortText


class HistoryRequest(
    msgspec.Struct, frozen=True, tag_field="type", tag="history", rename={"first": "from", "last": "to"}
):
    """Events of one epoch, both offsets inclusive; the answer's `next` says where to go on, if it did not fit."""

    stream: ShortText
    epoch: ShortText
    first: Offset
    last: Offset


class NameRequest(msgspec.Struct, frozen=True, tag_field="type", tag="name"):
    """Give a label a name. It is checked and kept as `streamseg.wire.label_names` says."""

    stream: ShortText
    label: ShortText
    name: ShortText

    def __post_init__(self) -> None:
        try:
            msgspec.structs.force_setattr(self, "name", check_name(self.name))
        except UsageError as error:
            raise ValueError(str(error)) from None  # msgspec makes a ValidationError of it


class MarkRequest(msgspec.Struct, frozen=True, tag_field="type", tag="mark"):
    """Judge the boundary at `t`, or say that there is one."""

    stream: ShortText
    t: Seconds
    verdict: Verdict


class AcknowledgeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="acknowledge"):
    """Take notice of an alarm."""

    stream: ShortText
    alarm: Literal["silence", "clipping", "mono", "frozen"]


class Set(msgspec.Struct, frozen=True, tag_field="type", tag="set"):
    """Change a setting of a stream, from its next epoch on; `reset` begins one.

    sensitivity: how many changes are reported, 0 the fewest, 1 the most, .5 as shipped.
    """

    stream: ShortText
    sensitivity: Sensitivity


class FinishRequest(msgspec.Struct, frozen=True, tag_field="type", tag="finish"):
    """Say everything pending and stop the stream."""

    stream: ShortText


class ResetRequest(msgspec.Struct, frozen=True, tag_field="type", tag="reset"):
    """Begin a new epoch over the same source."""

    stream: ShortText


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A request was met. `id` is the request's."""

    id: int | str
    ok: bool = True


class SubscribedResponse(Response, frozen=True, kw_only=True):
    """What the client hears from now on."""

    subscribe: list[Topic]


class SetAnswer(Response, frozen=True, kw_only=True):
    """What a stream is set to, and from when: the running epoch keeps its settings."""

    stream: str
    sensitivity: float
    effective: Literal["next_epoch"] = "next_epoch"


class SnapshotResponse(Response, frozen=True, kw_only=True):
    """The state of a stream right after `offset`."""

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HistoryResponse(Response, frozen=True, kw_only=True):
    """Events as they were sent. `next`: the offset to go on from, null when these are all."""

    stream: str
    epoch: str
    events: list[Any]
    next: int | None


class ErrorResponse(Response, frozen=True, kw_only=True):
    """A request was not met."""

    ok: bool = False
    error: ErrorDetail


ControlRequest: TypeAlias = NameRequest | MarkRequest | AcknowledgeRequest | Set | FinishRequest | ResetRequest
ClientRequest: TypeAlias = SubscribeRequest | UnsubscribeRequest | SnapshotRequest | HistoryRequest | ControlRequest
REQUEST_TYPES: dict[str, type[msgspec.Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (SubscribeRequest, UnsubscribeRequest, SnapshotRequest, HistoryRequest, *get_args(ControlRequest))
}
