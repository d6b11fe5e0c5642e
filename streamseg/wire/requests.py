"""Requests of clients, and the server's responses. A request is refused with a `RequestErrorCode`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from streamseg.errors import UsageError
from streamseg.wire.label_names import check_name
from streamseg.wire.messages import Offset, ShortText, Verdict
from streamseg.wire.snapshot import Snapshot
from streamseg.wire.sound_events import AlarmKind
from streamseg.wire.topics import Topic

Sensitivity: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]


class SubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """Send these topics too."""

    subscribe: list[Topic]


class UnsubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    """Send these topics no longer."""

    subscribe: list[Topic]


class SnapshotRequest(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """Send the state of a stream now."""

    stream: ShortText


class HistoryRequest(
    msgspec.Struct, frozen=True, tag_field="type", tag="history", rename={"first": "from", "last": "to"}
):
    """Send recorded events of one epoch, both offsets inclusive; `next` of the response is where to go on."""

    stream: ShortText
    epoch: ShortText
    first: Offset
    last: Offset


class NameRequest(msgspec.Struct, frozen=True, tag_field="type", tag="name"):
    """Give a label a name. The rules for names are in `streamseg.wire.label_names`."""

    stream: ShortText
    label: ShortText
    name: ShortText

    def __post_init__(self) -> None:
        try:
            msgspec.structs.force_setattr(self, "name", check_name(self.name))
        except UsageError as error:
            raise ValueError(str(error)) from None  # msgspec makes a ValidationError of it


class MarkRequest(msgspec.Struct, frozen=True, tag_field="type", tag="mark"):
    """Give feedback on the boundary at stream time `t`: it is right, it is wrong, or one is missing there."""

    stream: ShortText
    t: Seconds
    verdict: Verdict


class AcknowledgeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="acknowledge"):
    """Acknowledge an alarm."""

    stream: ShortText
    alarm: AlarmKind


class SetRequest(msgspec.Struct, frozen=True, tag_field="type", tag="set"):
    """Change a setting of a stream from its next epoch on; the request `reset` starts one.

    sensitivity: how many changes are reported, 0 the fewest, 1 the most, .5 as shipped.
    """

    stream: ShortText
    sensitivity: Sensitivity


class FinishRequest(msgspec.Struct, frozen=True, tag_field="type", tag="finish"):
    """Emit all pending events and stop the stream."""

    stream: ShortText


class ResetRequest(msgspec.Struct, frozen=True, tag_field="type", tag="reset"):
    """Start a new epoch of the stream with the same source."""

    stream: ShortText


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The request with this `id` was carried out."""

    id: int | str
    ok: bool = True


class SubscribedResponse(Response, frozen=True, kw_only=True):
    """All topics that the client is subscribed to now."""

    subscribe: list[Topic]


class SetResponse(Response, frozen=True, kw_only=True):
    """The setting of a stream, and when it takes effect: the running epoch keeps its settings."""

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
    """Recorded events, each as it was sent. next: the offset to go on from, null when no more follow."""

    stream: str
    epoch: str
    events: list[Any]
    next: int | None


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why a request was refused: a `RequestErrorCode`, and a sentence."""

    code: int
    message: str


class ErrorResponse(Response, frozen=True, kw_only=True):
    """The request with this `id` was refused."""

    ok: bool = False
    error: ErrorDetail


ControlRequest: TypeAlias = NameRequest | MarkRequest | AcknowledgeRequest | SetRequest | FinishRequest | ResetRequest
ClientRequest: TypeAlias = SubscribeRequest | UnsubscribeRequest | SnapshotRequest | HistoryRequest | ControlRequest
REQUEST_TYPES: dict[str, type[msgspec.Struct]] = {
    str(request_class.__struct_config__.tag): request_class
    for request_class in (
        SubscribeRequest,
        UnsubscribeRequest,
        SnapshotRequest,
        HistoryRequest,
        *get_args(ControlRequest),
    )
}
RESPONSE_TYPES: tuple[type[Response], ...] = (
    Response,
    SubscribedResponse,
    SetResponse,
    SnapshotResponse,
    HistoryResponse,
    ErrorResponse,
)
