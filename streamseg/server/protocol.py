"""The server's side of the protocol for one connection, as a state machine without socket and clock.

::

                 hello ▶                 ▶ identified
    (connected) ──────▶ HELLO_SENT ──────────────────▶ OPEN ──┐ request ▶ response
                             │   identify                │ ◀──┘
                             └── anything wrong ─▶ CLOSED ◀── too fast, unreadable, unknown op

Messages and times go in; actions come out: text to send, a code to close with, a client to join, a request to handle.
`ClientConnection` performs them and calls back. A fault of a *message* closes the connection; a fault of a *request* is
answered with an error response, because the request has an id.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeAlias

import msgspec

from streamseg.server.access_tokens import AccessTokens
from streamseg.server.rate_limiter import RateLimiter
from streamseg.settings import ServerSettings
from streamseg.wire import frames
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.codes import CloseCode, RequestErrorCode
from streamseg.wire.printable import make_one_line
from streamseg.wire.topics import TopicFilter

_WITHOUT_CONTROL_ADVICE = (
    "this server has none, so nobody can control it: start it with a token of your choice in STREAMSEG_CONTROL_TOKEN, "
    "and give the client the same"
)
_WITH_CONTROL_ADVICE = (
    "this client gave no token, or the read token: give the token that the server was started with, on the command "
    "line in STREAMSEG_CONTROL_TOKEN or with --token"
)


@dataclasses.dataclass(frozen=True, slots=True)
class SendMessageAction:
    """An action that the caller of `ServerProtocol` must perform: send the message `text` (JSON) to the client."""

    text: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class CloseConnectionAction:
    """An action for the caller of `ServerProtocol`: close the connection with this code and reason; send no more."""

    code: CloseCode
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class JoinStreamsAction:
    """An action for the caller of `ServerProtocol`: add the client to `streams`, then send it `identified`.

    `make_identified_actions` makes that message. resume: by stream, the last event that the client received.
    """

    topic_filter: TopicFilter
    streams: tuple[str, ...]
    resume: dict[str, m.EventCursor]


@dataclasses.dataclass(frozen=True, slots=True)
class HandleRequestAction:
    """An action for the caller of `ServerProtocol`: carry out `request`, then send a response or an error.

    `make_response_actions` or `make_error_actions` makes it. id: of the request; the response or error has the same.
    """

    id: int | str
    request: r.ClientRequest


ProtocolAction: TypeAlias = SendMessageAction | CloseConnectionAction | JoinStreamsAction | HandleRequestAction


class ProtocolState(enum.Enum):
    """The state of one connection: `hello` is sent, then open (the client is accepted), then closed by the server."""

    HELLO_SENT = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class ServerProtocol:
    """The server's side of the protocol, without a socket: turns one client's messages into actions for the caller.

    client (its name), role and topic_filter are set when it identifies itself.
    """

    def __init__(self, hello: m.Hello, tokens: AccessTokens, settings: ServerSettings, now: float) -> None:
        """hello: the first message, made for this client. now: seconds on a monotonic clock, here and below."""
        self._hello = hello
        self._tokens = tokens
        self._settings = settings
        self._deadline = now + settings.identify_timeout_s
        self._rate_limiter = RateLimiter(settings.messages_per_s, settings.message_burst, now)
        self.state = ProtocolState.HELLO_SENT
        self.client = ""
        self.role: m.Role = "read"
        self.topic_filter = TopicFilter()

    def make_hello_actions(self) -> list[ProtocolAction]:
        """Return the action that sends `hello`, the first message of the connection."""
        return [SendMessageAction(frames.encode_message("hello", self._hello))]

    def make_identify_timeout_actions(self, now: float) -> list[ProtocolAction]:
        """Return the action that closes the connection if the client is not identified in time; otherwise no action."""
        if self.state is ProtocolState.HELLO_SENT and now >= self._deadline:
            return self._close(CloseCode.NOT_IDENTIFIED, "no identify in time")
        return []

    def receive_message(self, text: str | bytes, now: float) -> list[ProtocolAction]:
        """Decode and check one message from the client; return the actions that the caller must perform, in order.

        text: bytes if the message was binary.
        """
        if self.state is ProtocolState.CLOSED:
            return []
        if not self._rate_limiter.spend_or_overdraw(now):
            return self._close(CloseCode.TOO_MANY_REQUESTS, f"more than {self._settings.messages_per_s:g} messages/s")
        if isinstance(text, bytes):
            return self._close(CloseCode.UNREADABLE, "messages are JSON in text frames, not binary")
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
            return self._close(CloseCode.UNREADABLE, "not JSON")
        if not isinstance(message, dict):
            return self._close(CloseCode.WRONG_TYPE, "a message is an object with `op` and `d`")
        for field, field_type in (("op", str), ("d", dict)):
            if field not in message:
                return self._close(CloseCode.MISSING_FIELD, f"no `{field}`")
            if not isinstance(message[field], field_type):
                return self._close(CloseCode.WRONG_TYPE, f"`{field}` is of the wrong type")
        match message["op"]:
            case "identify" if self.state is ProtocolState.HELLO_SENT:
                return self._identify(message["d"])
            case "identify":
                return self._close(CloseCode.ALREADY_IDENTIFIED, "identified already")
            case "request" if self.state is ProtocolState.OPEN:
                return self._request(message["d"])
            case "request":
                return self._close(CloseCode.NOT_IDENTIFIED, "identify first")
            case _:
                return self._close(CloseCode.UNKNOWN_OP, "unknown op; known: identify, request")

    def make_identified_actions(self, session: str, streams: dict[str, m.JoinedStream]) -> list[ProtocolAction]:
        """Return the action that sends `identified` (client accepted); call this after the client joined its streams.

        session: id of the connection. streams: by name, where the client starts in each.
        """
        if self.state is ProtocolState.CLOSED:
            return []
        message = m.Identified(protocol=m.PROTOCOL_VERSION, session=session, role=self.role, streams=streams)
        return [SendMessageAction(frames.encode_message("identified", message))]

    def make_response_actions(self, response: r.Response) -> list[ProtocolAction]:
        """Return the action that sends the response to a request."""
        return [SendMessageAction(frames.encode_message("response", response))]

    def make_error_actions(self, id: int | str, code: RequestErrorCode, reason: str) -> list[ProtocolAction]:
        """Return the action that sends an error response to the request `id`. reason: a sentence for a person."""
        return self.make_response_actions(r.ErrorResponse(id=id, error=r.ErrorDetail(int(code), reason)))

    def _identify(self, d: dict[str, Any]) -> list[ProtocolAction]:
        version = d.get("protocol")
        if isinstance(version, int) and version != m.PROTOCOL_VERSION:
            return self._close(
                CloseCode.UNSUPPORTED_VERSION, f"protocol {version}; this server speaks {m.PROTOCOL_VERSION}"
            )
        try:
            identify = msgspec.convert(d, m.Identify)
        except msgspec.ValidationError as error:
            return self._close(_close_code_of(error), str(error))
        role = self._tokens.role_for_proof(self._hello.auth.challenge if self._hello.auth else "", identify.auth)
        if role is None:
            return self._close(CloseCode.NOT_AUTHORISED, "no valid token")
        streams = tuple(dict.fromkeys(self._hello.streams if identify.streams is None else identify.streams))
        unknown = [name for name in streams if name not in self._hello.streams]
        if unknown:
            return self._close(
                CloseCode.WRONG_VALUE, f"no stream {unknown[0]!r}; streams: {', '.join(self._hello.streams)}"
            )
        if len(streams) > self._settings.max_streams_per_client:
            return self._close(CloseCode.WRONG_VALUE, f"more than {self._settings.max_streams_per_client} streams")
        self.state, self.role = ProtocolState.OPEN, role
        self.client = make_one_line(identify.client)  # events contain it
        self.topic_filter = TopicFilter.from_identify(identify.subscribe, identify.min_state)
        resume = {name: cursor for name, cursor in identify.resume.items() if name in streams}
        return [JoinStreamsAction(self.topic_filter, streams, resume)]

    def _request(self, d: dict[str, Any]) -> list[ProtocolAction]:
        id = d.get("id")
        if "id" not in d:
            return self._close(CloseCode.MISSING_FIELD, "no `id` in the request")
        if isinstance(id, bool) or not isinstance(id, int | str) or (isinstance(id, str) and len(id) > 200):
            return self._close(CloseCode.WRONG_TYPE, "a request's `id` is an integer or a short string")
        if "type" not in d:
            return self.make_error_actions(
                id, RequestErrorCode.MISSING_FIELD, f"no `type`; known: {', '.join(r.REQUEST_TYPES)}"
            )
        request_class = r.REQUEST_TYPES.get(d["type"]) if isinstance(d["type"], str) else None
        if request_class is None:
            return self.make_error_actions(
                id, RequestErrorCode.UNKNOWN_TYPE, f"unknown type; known: {', '.join(r.REQUEST_TYPES)}"
            )
        try:
            request: r.ClientRequest = msgspec.convert(d, request_class)  # type: ignore[assignment]
        except msgspec.ValidationError as error:
            return self.make_error_actions(id, _error_code_of(error), str(error))
        if isinstance(request, r.ControlRequest) and self.role != "control":
            advice = _WITH_CONTROL_ADVICE if self._tokens.has_control_token else _WITHOUT_CONTROL_ADVICE
            return self.make_error_actions(
                id, RequestErrorCode.NOT_ALLOWED, f"`{d['type']}` takes the control token; {advice}"
            )
        if isinstance(request, r.SubscribeRequest):
            self.topic_filter = self.topic_filter.with_topics(request.subscribe)
        elif isinstance(request, r.UnsubscribeRequest):
            self.topic_filter = self.topic_filter.without_topics(request.subscribe)
        return [HandleRequestAction(id, request)]

    def _close(self, code: CloseCode, reason: str) -> list[ProtocolAction]:
        self.state = ProtocolState.CLOSED
        # RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
        return [CloseConnectionAction(code, reason.encode()[:120].decode(errors="ignore"))]


def _close_code_of(error: msgspec.ValidationError) -> CloseCode:
    return {
        RequestErrorCode.MISSING_FIELD: CloseCode.MISSING_FIELD,
        RequestErrorCode.WRONG_TYPE: CloseCode.WRONG_TYPE,
        RequestErrorCode.WRONG_VALUE: CloseCode.WRONG_VALUE,
    }[_error_code_of(error)]


def _error_code_of(error: msgspec.ValidationError) -> RequestErrorCode:
    # Only its messages tell msgspec's kinds of fault apart (tests/integration/test_dependencies.py checks them).
    # Only their beginnings count: the rest may contain what the client sent.
    text = str(error)
    if text.startswith("Object missing required field"):
        return RequestErrorCode.MISSING_FIELD
    if text.startswith("Expected") and ", got " in text:
        return RequestErrorCode.WRONG_TYPE
    return RequestErrorCode.WRONG_VALUE
