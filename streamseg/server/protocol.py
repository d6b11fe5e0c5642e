"""One connection's side of the conversation, without a socket and without a clock.

::

                 hello ▶                 ▶ identified
    (connected) ────────▶ GREETED ───────────────────▶ OPEN ──┐ request ▶ response
                             │   identify                │ ◀──┘
                             └── anything wrong ─▶ CLOSED ◀── too fast, unreadable, unknown op

Messages and times go in; actions come out: text to send, a code to close with, a client to let in, a request to
meet. The adapter performs them and calls back. Whatever is wrong with a *message* closes the connection; whatever
is wrong with a *request* is answered, because the client named the request and can be told.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeAlias

import msgspec

from streamseg.printable import one_line
from streamseg.server import messages as m
from streamseg.server.allowance import Allowance
from streamseg.server.interest import Interest
from streamseg.server.tokens import Role, Tokens
from streamseg.settings import ServerSettings


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Send this text."""

    text: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Close:
    """Close with this code; nothing more will be said."""

    code: m.CloseCode
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class LetIn:
    """The client identified itself: join it to its streams, then call `identified`."""

    interest: Interest
    streams: tuple[str, ...]
    resume: dict[str, m.Cursor]


@dataclasses.dataclass(frozen=True, slots=True)
class Meet:
    """Meet this request, then call `respond` or `refuse` with its id."""

    id: int | str
    request: m.Request


Action: TypeAlias = Send | Close | LetIn | Meet


class State(enum.Enum):
    """Where the conversation stands."""

    GREETED = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class Connection:
    """One client's conversation."""

    def __init__(self, hello: m.Hello, tokens: Tokens, settings: ServerSettings, now: float) -> None:
        """hello: what to say first. now: seconds on any clock that does not jump, as all `now` below."""
        self._hello = hello
        self._tokens = tokens
        self._settings = settings
        self._deadline = now + settings.identify_timeout_s
        self._allowance = Allowance(settings.messages_per_s, settings.message_burst, now)
        self.state = State.GREETED
        self.client = ""
        self.role: Role = "read"
        self.interest = Interest()

    def greet(self) -> list[Action]:
        """The server speaks first."""
        return [Send(m.message("hello", self._hello))]

    def expire(self, now: float) -> list[Action]:
        """Close when the client has not identified itself in time."""
        if self.state is State.GREETED and now >= self._deadline:
            return self._close(m.CloseCode.NOT_IDENTIFIED, "no identify in time")
        return []

    def receive(self, text: str | bytes, now: float) -> list[Action]:
        """Take in one message."""
        if self.state is State.CLOSED:
            return []
        if not self._allowance.take(now):
            return self._close(m.CloseCode.TOO_MANY_REQUESTS, f"more than {self._settings.messages_per_s:g} messages/s")
        if isinstance(text, bytes):
            return self._close(m.CloseCode.UNREADABLE, "messages are JSON in text frames, not binary")
        try:
            received = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
            return self._close(m.CloseCode.UNREADABLE, "not JSON")
        if not isinstance(received, dict):
            return self._close(m.CloseCode.WRONG_TYPE, "a message is an object with `op` and `d`")
        for field, kind in (("op", str), ("d", dict)):
            if field not in received:
                return self._close(m.CloseCode.MISSING_FIELD, f"no `{field}`")
            if not isinstance(received[field], kind):
                return self._close(m.CloseCode.WRONG_TYPE, f"`{field}` is of the wrong type")
        match received["op"]:
            case "identify" if self.state is State.GREETED:
                return self._identify(received["d"])
            case "identify":
                return self._close(m.CloseCode.ALREADY_IDENTIFIED, "identified already")
            case "request" if self.state is State.OPEN:
                return self._request(received["d"])
            case "request":
                return self._close(m.CloseCode.NOT_IDENTIFIED, "identify first")
            case _:
                return self._close(m.CloseCode.UNKNOWN_OP, "unknown op; known: identify, request")

    def identified(self, session: str, streams: dict[str, m.Joined]) -> list[Action]:
        """The client was joined to its streams."""
        if self.state is State.CLOSED:
            return []
        said = m.Identified(protocol=m.PROTOCOL, session=session, role=self.role, streams=streams)
        return [Send(m.message("identified", said))]

    def respond(self, answer: m.Answer) -> list[Action]:
        """A request was met, or not."""
        return [Send(m.message("response", answer))]

    def refuse(self, id: int | str, code: m.Refusal, reason: str) -> list[Action]:
        """A request was not met."""
        return self.respond(m.Refused(id=id, error=m.Error(int(code), reason)))

    def _identify(self, d: dict[str, Any]) -> list[Action]:
        version = d.get("protocol")
        if isinstance(version, int) and not m.PROTOCOL >= version >= m.PROTOCOL:
            return self._close(m.CloseCode.UNSUPPORTED_VERSION, f"protocol {version}; this server speaks {m.PROTOCOL}")
        try:
            asked = msgspec.convert(d, m.Identify)
        except msgspec.ValidationError as error:
            return self._close(_close_code(error), str(error))
        role = self._tokens.role(self._hello.auth.challenge if self._hello.auth else "", asked.auth)
        if role is None:
            return self._close(m.CloseCode.NOT_AUTHORISED, "no valid token")
        streams = tuple(dict.fromkeys(self._hello.streams if asked.streams is None else asked.streams))
        unknown = [name for name in streams if name not in self._hello.streams]
        if unknown:
            return self._close(
                m.CloseCode.WRONG_VALUE, f"no stream {unknown[0]!r}; streams: {', '.join(self._hello.streams)}"
            )
        if len(streams) > self._settings.max_streams_per_client:
            return self._close(m.CloseCode.WRONG_VALUE, f"more than {self._settings.max_streams_per_client} streams")
        self.state, self.role, self.client = State.OPEN, role, one_line(asked.client)  # it is said in events
        self.interest = Interest.of(asked.subscribe, asked.min_state)
        resume = {name: cursor for name, cursor in asked.resume.items() if name in streams}
        return [LetIn(self.interest, streams, resume)]

    def _request(self, d: dict[str, Any]) -> list[Action]:
        id = d.get("id")
        if "id" not in d:
            return self._close(m.CloseCode.MISSING_FIELD, "no `id` in the request")
        if isinstance(id, bool) or not isinstance(id, int | str) or (isinstance(id, str) and len(id) > 200):
            return self._close(m.CloseCode.WRONG_TYPE, "a request's `id` is an integer or a short string")
        if "type" not in d:
            return self.refuse(id, m.Refusal.MISSING_FIELD, f"no `type`; known: {', '.join(m.REQUESTS)}")
        kind = m.REQUESTS.get(d["type"]) if isinstance(d["type"], str) else None
        if kind is None:
            return self.refuse(id, m.Refusal.UNKNOWN_TYPE, f"unknown type; known: {', '.join(m.REQUESTS)}")
        try:
            request: m.Request = msgspec.convert(d, kind)  # type: ignore[assignment]
        except msgspec.ValidationError as error:
            return self.refuse(id, _refusal(error), str(error))
        if isinstance(request, m.Control) and self.role != "control":
            return self.refuse(id, m.Refusal.NOT_ALLOWED, f"`{d['type']}` takes the control token")
        if isinstance(request, m.Subscribe):
            self.interest = self.interest.plus(request.subscribe)
        elif isinstance(request, m.Unsubscribe):
            self.interest = self.interest.minus(request.subscribe)
        return [Meet(id, request)]

    def _close(self, code: m.CloseCode, reason: str) -> list[Action]:
        self.state = State.CLOSED
        # RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
        return [Close(code, reason.encode()[:120].decode(errors="ignore"))]


def _close_code(error: msgspec.ValidationError) -> m.CloseCode:
    return {
        m.Refusal.MISSING_FIELD: m.CloseCode.MISSING_FIELD,
        m.Refusal.WRONG_TYPE: m.CloseCode.WRONG_TYPE,
        m.Refusal.WRONG_VALUE: m.CloseCode.WRONG_VALUE,
    }[_refusal(error)]


def _refusal(error: msgspec.ValidationError) -> m.Refusal:
    # msgspec tells the kinds of fault apart by its sentences alone (tests/test_dependencies.py knows them). Only their
    # beginnings count: further on stands what the client sent.
    said = str(error)
    if said.startswith("Object missing required field"):
        return m.Refusal.MISSING_FIELD
    if said.startswith("Expected") and ", got " in said:
        return m.Refusal.WRONG_TYPE
    return m.Refusal.WRONG_VALUE
