"""The protocol's numeric codes: why the server closed a connection, and why it refused a request."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """The code in the server's close frame: why it closed the connection. Most codes are obs-websocket's."""

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
    """The number in an error response that says why the server refused the request.

    The numbers are those of the obs-websocket protocol, except NOT_ALLOWED, which is Centrifugo's.
    """

    NOT_ALLOWED = 103
    UNKNOWN_TYPE = 204
    FAILED = 205
    MISSING_FIELD = 300
    WRONG_VALUE = 400
    WRONG_TYPE = 401
    NOT_FOUND = 600
