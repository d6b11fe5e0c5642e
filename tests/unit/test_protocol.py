"""Identification: what the server and the client say first, and what closes the connection."""

from __future__ import annotations

import json

import msgspec
import pytest
from unit.protocol_conversation import ALL, code, connection, opened, say

from streamseg.server.protocol import HandleRequestAction, JoinStreamsAction, ProtocolState
from streamseg.wire import messages as m
from streamseg.wire.topics import TopicFilter


def test_the_server_speaks_first():
    (hello,) = connection().make_hello_actions()
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
    assert conn.make_identify_timeout_actions(9.9) == []
    assert code(conn.make_identify_timeout_actions(10.0)) == 4007
    assert opened(identify_timeout_s=10).make_identify_timeout_actions(10.0) == []


def test_too_fast():
    conn = opened(messages_per_s=10, message_burst=20)
    d = {"id": 1, "type": "snapshot", "stream": "mic"}
    for _ in range(19):  # one went for identify
        assert isinstance(say(conn, "request", d, now=0.0)[0], HandleRequestAction)
    assert isinstance(say(conn, "request", d, now=0.11)[0], HandleRequestAction)
    assert code(say(conn, "request", d, now=0.12)) == 4029


def test_identified_says_where_the_client_stands():
    conn = opened()
    joined = m.JoinedStream(epoch="E", offset=3, recovered=True, replayed=2, snapshot={})
    (sent,) = conn.make_identified_actions("s", {"mic": joined})
    d = json.loads(sent.text)["d"]
    assert d["streams"]["mic"] == msgspec.to_builtins(joined)
    assert (d["protocol"], d["session"], d["role"]) == (1, "s", "read")
