"""The server's side of a conversation with two streams, for the tests of its rules."""

from __future__ import annotations

import json

from streamseg.server.access_tokens import AccessTokens
from streamseg.server.protocol import CloseConnectionAction, JoinStreamsAction, SendMessageAction, ServerProtocol
from streamseg.settings import ServerSettings
from streamseg.wire import messages as m
from streamseg.wire import token_proof
from streamseg.wire.topics import HIGH_VOLUME_TOPICS, TOPICS

ALL = TOPICS - HIGH_VOLUME_TOPICS


def connection(*, read=None, control=None, now=0.0, **settings) -> ServerProtocol:
    allowed = AccessTokens(read, control)
    hello = m.Hello(
        server="streamseg/test",
        protocol=1,
        min_protocol=1,
        auth=m.AuthChallenge("hmac-sha256", "c0ffee") if allowed.has_any_token else None,
        heartbeat_s=15,
        max_queue_bytes=524288,
        history=m.HistoryLimits(10, 10),
        streams=["mic", "line"],
    )
    return ServerProtocol(hello, allowed, ServerSettings(**settings), now)


def say(conn: ServerProtocol, op: str, d: object, now: float = 0.0):
    return conn.receive_message(json.dumps({"op": op, "d": d}), now)


def opened(**options) -> ServerProtocol:
    conn = connection(**options)
    auth = options.get("control")
    d = {"protocol": 1}
    if auth:
        d["auth"] = token_proof.compute_proof(auth, "c0ffee")
    (let_in,) = say(conn, "identify", d)
    assert isinstance(let_in, JoinStreamsAction)
    conn.make_identified_actions("session", {})
    return conn


def answer(actions) -> dict:
    (sent,) = actions
    assert isinstance(sent, SendMessageAction)
    return json.loads(sent.text)["d"]


def code(actions) -> int:
    (close,) = actions
    assert isinstance(close, CloseConnectionAction)
    assert len(close.reason.encode()) <= 123
    return int(close.code)
