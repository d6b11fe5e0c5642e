"""Every rule of the conversation, on the pure object."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from streamseg.server.access_tokens import AccessTokens
from streamseg.server.protocol import (
    CloseConnectionAction,
    HandleRequestAction,
    JoinStreamsAction,
    ProtocolState,
    SendMessageAction,
    ServerProtocol,
)
from streamseg.settings import ServerSettings
from streamseg.wire import frames, token_proof
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.topics import HIGH_VOLUME_TOPICS, TOPICS, TopicFilter

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
    conn.send_identified("session", {})
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


def test_the_server_speaks_first():
    (hello,) = connection().send_hello()
    said = json.loads(hello.text)
    assert said["op"] == "hello"
    assert said["d"]["auth"] is None
    assert said["d"]["protocol"] == said["d"]["min_protocol"] == 1
    assert said["d"]["history"] == {"events": 10, "seconds": 10}
    assert said["d"]["streams"] == ["mic", "line"]


def test_a_bare_identify_hears_all_streams_and_all_but_high_volume():
    (let_in,) = say(connection(), "identify", {"protocol": 1})
    assert let_in == JoinStreamsAction(TopicFilter(frozenset(ALL), "provisional"), ("mic", "line"), {})


def test_an_identify_says_what_it_wants():
    d = {
        "protocol": 1,
        "streams": ["line", "line"],
        "subscribe": ["boundary", "meter"],
        "min_state": "confirmed",
        "resume": {"line": {"epoch": "E", "offset": 4}, "mic": {"epoch": "E", "offset": 1}},
        "unknown field": 1,
    }
    (let_in,) = say(connection(), "identify", d)
    wanted = TopicFilter(frozenset({"boundary", "meter"}), "confirmed")
    assert let_in == JoinStreamsAction(wanted, ("line",), {"line": m.EventCursor("E", 4)})


def test_a_clients_name_is_fit_to_be_said_in_events():
    conversation = connection()
    say(conversation, "identify", {"protocol": 1, "client": "desk\x1b[31m\n\u202e 2"})
    assert conversation.client == "desk\ufffd[31m \ufffd 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 4002),
        ("{", 4002),
        ("\ud800", 4002),
        ("[" * 100_000, 4002),
        ("1" * 5000, 4002),
        ("NaN", 4002),
        (b'{"op":"identify","d":{"protocol":1}}', 4002),
        ("[]", 4004),
        ("null", 4004),
        ("7", 4004),
        ("{}", 4003),
        ('{"op":"identify"}', 4003),
        ('{"d":{}}', 4003),
        ('{"op":7,"d":{}}', 4004),
        ('{"op":"identify","d":[]}', 4004),
        ('{"op":"hello","d":{}}', 4006),
        ('{"op":"","d":{}}', 4006),
        ('{"op":"request","d":{"id":1,"type":"snapshot","stream":"mic"}}', 4007),
        ('{"op":"identify","d":{}}', 4003),
        ('{"op":"identify","d":{"protocol":"1"}}', 4004),
        ('{"op":"identify","d":{"protocol":true}}', 4004),
        ('{"op":"identify","d":{"protocol":0}}', 4010),
        ('{"op":"identify","d":{"protocol":2}}', 4010),
        ('{"op":"identify","d":{"protocol":99999999999999999999999999}}', 4010),
        ('{"op":"identify","d":{"protocol":1,"streams":["nobody"]}}', 4005),
        ('{"op":"identify","d":{"protocol":1,"streams":"mic"}}', 4004),
        ('{"op":"identify","d":{"protocol":1,"subscribe":["weather"]}}', 4005),
        ('{"op":"identify","d":{"protocol":1,"min_state":"maybe"}}', 4005),
        ('{"op":"identify","d":{"protocol":1,"resume":{"mic":{"epoch":"E"}}}}', 4003),
        ('{"op":"identify","d":{"protocol":1,"resume":{"mic":{"epoch":"E","offset":-1}}}}', 4005),
        ('{"op":"identify","d":{"protocol":1,"client":"' + "x" * 201 + '"}}', 4005),
    ],
)
def test_what_is_wrong_closes_with_its_code(text, expected):
    conn = connection()
    assert code(conn.receive_message(text, 0.0)) == expected
    assert conn.state is ProtocolState.CLOSED
    assert conn.receive_message('{"op":"identify","d":{"protocol":1}}', 1.0) == []


def test_too_many_streams():
    assert code(say(connection(max_streams_per_client=1), "identify", {"protocol": 1})) == 4005


def test_identify_only_once():
    assert code(say(opened(), "identify", {"protocol": 1})) == 4008


def test_identify_in_time():
    conn = connection(identify_timeout_s=10)
    assert conn.close_if_unidentified(9.9) == []
    assert code(conn.close_if_unidentified(10.0)) == 4007
    assert opened(identify_timeout_s=10).close_if_unidentified(10.0) == []


def test_too_fast():
    conn = opened(messages_per_s=10, message_burst=20)
    d = {"id": 1, "type": "snapshot", "stream": "mic"}
    for _ in range(19):  # one went for identify
        assert isinstance(say(conn, "request", d, now=0.0)[0], HandleRequestAction)
    assert isinstance(say(conn, "request", d, now=0.11)[0], HandleRequestAction)
    assert code(say(conn, "request", d, now=0.12)) == 4029


# Who may do what


@pytest.mark.parametrize(
    ("read", "control", "shown", "role"),
    [
        (None, None, None, "read"),
        (None, None, "anything", "read"),  # no token is asked for, so none is looked at
        (None, "c", None, "read"),
        (None, "c", "c", "control"),
        (None, "c", "x", None),
        ("r", None, None, None),
        ("r", None, "r", "read"),
        ("r", None, "", None),
        ("r", "c", "r", "read"),
        ("r", "c", "c", "control"),
        ("r", "c", None, None),
        ("r", "c", "rc", None),
    ],
)
def test_roles(read, control, shown, role):
    conn = connection(read=read, control=control)
    d = {"protocol": 1}
    if shown is not None:
        d["auth"] = token_proof.compute_proof(shown, "c0ffee")
    actions = say(conn, "identify", d)
    if role is None:
        assert code(actions) == 4009
    else:
        assert isinstance(actions[0], JoinStreamsAction)
        assert conn.role == role
    bearer = None if shown is None else f"Bearer {shown}"
    assert AccessTokens(read, control).role_for_bearer(bearer) == role


def test_auth_that_is_not_even_hex():
    conn = connection(read="r")
    assert code(say(conn, "identify", {"protocol": 1, "auth": "ü" * 64})) == 4009
    assert AccessTokens("r").role_for_bearer("Basic r") is None


def test_off_loopback_the_control_token_guards_reading():
    guarded = AccessTokens(None, "c").with_control_token_for_reading()
    assert guarded.role_for_proof("x", None) is None
    assert guarded.role_for_proof("x", token_proof.compute_proof("c", "x")) == "control"


def test_an_answer_to_another_challenge_is_worth_nothing():
    assert (
        AccessTokens("r").role_for_proof(
            token_proof.make_challenge(), token_proof.compute_proof("r", token_proof.make_challenge())
        )
        is None
    )


def test_tokens_do_not_show():
    assert "secret" not in repr(AccessTokens("secret", "secret"))


def test_comparing_takes_the_same_time_however_much_is_right():
    allowed, right = AccessTokens("r" * 64), token_proof.compute_proof("r" * 64, "c")
    nearly, not_at_all = right[:-1] + "x", "x" * 64

    def fastest(auth: str) -> float:
        times = []
        for _ in range(200):
            began = time.perf_counter()
            for _ in range(20):
                allowed.role_for_proof("c", auth)
            times.append(time.perf_counter() - began)
        return min(times)

    ratios = [fastest(nearly) / fastest(not_at_all) for _ in range(5)]
    assert min(ratios) < 1.1
    assert max(ratios) > 0.9


CONTROLS = [
    ({"type": "name", "stream": "mic", "label": "A", "name": "news"}, r.NameLabelRequest("mic", "A", "news")),
    ({"type": "mark", "stream": "mic", "t": 3, "verdict": "reject"}, r.MarkBoundaryRequest("mic", 3.0, "reject")),
    ({"type": "acknowledge", "stream": "mic", "alarm": "silence"}, r.AcknowledgeAlarmRequest("mic", "silence")),
    ({"type": "set", "stream": "mic", "sensitivity": 0.7}, r.SetSensitivityRequest("mic", 0.7)),
    ({"type": "finish", "stream": "mic"}, r.FinishRequest("mic")),
    ({"type": "reset", "stream": "mic"}, r.ResetRequest("mic")),
]


@pytest.mark.parametrize(("d", "request_"), CONTROLS)
def test_control_takes_the_control_token(d, request_):
    refused = answer(say(opened(), "request", {"id": 7, **d}))
    assert refused["id"] == 7
    assert refused["ok"] is False
    assert refused["error"]["code"] == 103
    (meet,) = say(opened(control="c"), "request", {"id": 7, **d})
    assert meet == HandleRequestAction(7, request_)


# Requests


def test_requests_are_handed_on():
    (meet,) = say(
        opened(), "request", {"id": "a", "type": "history", "stream": "mic", "epoch": "E", "from": 1, "to": 9}
    )
    assert meet == HandleRequestAction("a", r.HistoryRequest("mic", "E", 1, 9))
    (meet,) = say(opened(), "request", {"id": "a", "type": "snapshot", "stream": "mic"})
    assert meet == HandleRequestAction("a", r.SnapshotRequest("mic"))


def test_subscribing_changes_the_interest():
    conn = opened()
    say(conn, "request", {"id": 1, "type": "subscribe", "subscribe": ["meter"]})
    assert conn.topic_filter.topics == ALL | {"meter"}
    say(conn, "request", {"id": 2, "type": "unsubscribe", "subscribe": ["meter", "novelty", "sound"]})
    assert conn.topic_filter.topics == ALL - {"sound"}


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        ({"id": 1}, 300),
        ({"id": 1, "type": "weather"}, 204),
        ({"id": 1, "type": ["weather"]}, 204),
        ({"id": 1, "type": "snapshot"}, 300),
        ({"id": 1, "type": "snapshot", "stream": 3}, 401),
        ({"id": 1, "type": "snapshot", "stream": ""}, 400),
        ({"id": 1, "type": "history", "stream": "mic", "epoch": "E", "from": -1, "to": 3}, 400),
        ({"id": 1, "type": "history", "stream": "mic", "epoch": "E", "from": 1, "to": 2**60}, 400),
        ({"id": 1, "type": "mark", "stream": "mic", "t": -1, "verdict": "confirm"}, 400),
        ({"id": 1, "type": "mark", "stream": "mic", "t": 1, "verdict": "perhaps"}, 400),
        ({"id": 1, "type": "acknowledge", "stream": "mic", "alarm": "fire"}, 400),
        ({"id": 1, "type": "subscribe", "subscribe": ["weather"]}, 400),
    ],
)
def test_a_bad_request_is_answered(d, expected):
    conn = opened(control="c")
    refused = answer(say(conn, "request", d))
    assert (refused["id"], refused["ok"], refused["error"]["code"]) == (1, False, expected)
    assert refused["error"]["message"]
    assert conn.state is ProtocolState.OPEN


@pytest.mark.parametrize(
    ("d", "expected"),
    [({"type": "snapshot"}, 4003), ({"id": None}, 4004), ({"id": True}, 4004), ({"id": "x" * 201}, 4004)],
)
def test_a_request_without_a_usable_id_cannot_be_answered(d, expected):
    assert code(say(opened(), "request", d)) == expected


def test_min_state_hides_what_is_undecided():
    confirmed = TopicFilter.from_identify(None, "confirmed")
    assert not confirmed.matches_event("boundary", "streamseg.boundary.provisional.v1")
    assert not confirmed.matches_event("boundary", "streamseg.boundary.retracted.v1")
    assert confirmed.matches_event("boundary", "streamseg.boundary.confirmed.v1")
    assert confirmed.matches_event("section", "streamseg.section.closed.v1")
    assert not confirmed.matches_event("meter", "streamseg.meter.v1")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 70_000])
def test_frames_are_those_of_websockets(size):
    from websockets.frames import Frame, Opcode

    text = b"x" * size
    assert frames.make_text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


def test_identified_says_where_the_client_stands():
    conn = opened()
    joined = m.JoinedStream(epoch="E", offset=3, recovered=True, replayed=2, snapshot={})
    (sent,) = conn.send_identified("s", {"mic": joined})
    d = json.loads(sent.text)["d"]
    assert d["streams"]["mic"] == msgspec.to_builtins(joined)
    assert (d["protocol"], d["session"], d["role"]) == (1, "s", "read")
