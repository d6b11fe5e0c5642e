"""The protocol's numeric codes: why the server closed a connection, and why it refused a request."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """The code in the server's close frame: why it closed the connection. Most codes are obs-websocket's."""

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
    """The code in an error response: why a request was refused. obs-websocket's codes; NOT_ALLOWED is Centrifugo's."""

    NOT_ALLOWED = 103
    UNKNOWN_TYPE = 204
    FAILED = 205
    MISSING_FIELD = 300
    WRONG_VALUE = 400
    WRONG_TYPE = 401
    NOT_FOUND = 600
