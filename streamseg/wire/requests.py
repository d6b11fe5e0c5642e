"""Clients' requests and the server's responses. A refusal has a `RequestErrorCode`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from streamseg.errors import UsageError
from streamseg.wire.label_names import check_and_normalise_name
from streamseg.wire.messages import Offset, ShortText, Verdict
from streamseg.wire.snapshot import Snapshot
from streamseg.wire.sound_events import AlarmKind
from streamseg.wire.topics import Topic

Sensitivity: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]


class SubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="subscribe"):
    """Asks the server to send the topics in `subscribe` to this client too."""

    subscribe: list[Topic]


class UnsubscribeRequest(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    """Asks the server to stop sending the topics in `subscribe` to this client."""

    subscribe: list[Topic]


class SnapshotRequest(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot"):
    """Asks the server for the present state of a stream."""

    stream: ShortText


class HistoryRequest(
    msgspec.Struct, frozen=True, tag_field="type", tag="history", rename={"first": "from", "last": "to"}
):
    """Asks the server for the recorded events of one epoch, from offset `first` to `last`, both included.

    The response may hold fewer: its `next` is the `first` of the next request.
    """

    stream: ShortText
    epoch: ShortText
    first: Offset
    last: Offset


class NameLabelRequest(msgspec.Struct, frozen=True, tag_field="type", tag="name"):
    """Asks the server to give the label `label` the name `name`. `wire/label_names.py` has the rules for names."""

    stream: ShortText
    label: ShortText
    name: ShortText

    def __post_init__(self) -> None:
        try:
            msgspec.structs.force_setattr(self, "name", check_and_normalise_name(self.name))
        except UsageError as error:
            raise ValueError(str(error)) from None  # msgspec makes a ValidationError of it


class MarkBoundaryRequest(msgspec.Struct, frozen=True, tag_field="type", tag="mark"):
    """Asks the server to store a user's verdict on the boundary at stream time `t`, in seconds.

    verdict: `confirm`: it is right; `reject`: it is wrong; `boundary`: one is missing there.
    """

    stream: ShortText
    t: Seconds
    verdict: Verdict


class AcknowledgeAlarmRequest(msgspec.Struct, frozen=True, tag_field="type", tag="acknowledge"):
    """Asks the server to mark a raised alarm as acknowledged by this client."""

    stream: ShortText
    alarm: AlarmKind


class SetSensitivityRequest(msgspec.Struct, frozen=True, tag_field="type", tag="set"):
    """Asks the server to change the sensitivity of a stream from its next epoch on; the request `reset` starts one.

    sensitivity: how many changes are reported, 0 the fewest, 1 the most, .5 as shipped.
    """

    stream: ShortText
    sensitivity: Sensitivity


class FinishRequest(msgspec.Struct, frozen=True, tag_field="type", tag="finish"):
    """Asks the server to emit all pending events of a stream and to stop it."""

    stream: ShortText


class ResetRequest(msgspec.Struct, frozen=True, tag_field="type", tag="reset"):
    """Asks the server to start a new epoch of a stream with the same source."""

    stream: ShortText


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to the request with this `id`; `ok` is true where the server carried it out."""

    id: int | str
    ok: bool = True


class SubscribedResponse(Response, frozen=True, kw_only=True):
    """The response to `subscribe` and `unsubscribe`: all topics that the client is subscribed to now."""

    subscribe: list[Topic]


class SetSensitivityResponse(Response, frozen=True, kw_only=True):
    """The response to `set`: the new sensitivity of a stream, and when it takes effect."""

    stream: str
    sensitivity: float
    effective: Literal["next_epoch"] = "next_epoch"


class SnapshotResponse(Response, frozen=True, kw_only=True):
    """The response to `snapshot`: the state of a stream right after the event with this epoch and offset."""

    stream: str
    epoch: str
    offset: int
    snapshot: Snapshot


class HistoryResponse(Response, frozen=True, kw_only=True):
    """The response to `history`: recorded events of one epoch, each as it was sent.

    next: `first` of the request for the events that follow, null when none follow.
    """

    stream: str
    epoch: str
    events: list[Any]
    next: int | None


class ErrorDetail(msgspec.Struct, frozen=True):
    """Why the server refused a request: `code` is a `RequestErrorCode`, `message` a sentence for a person."""

    code: int
    message: str


class ErrorResponse(Response, frozen=True, kw_only=True):
    """The server refused the request with this `id`."""

    ok: bool = False
    error: ErrorDetail


ControlRequest: TypeAlias = (
    NameLabelRequest
    | MarkBoundaryRequest
    | AcknowledgeAlarmRequest
    | SetSensitivityRequest
    | FinishRequest
    | ResetRequest
)
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
    SetSensitivityResponse,
    SnapshotResponse,
    HistoryResponse,
    ErrorResponse,
)
