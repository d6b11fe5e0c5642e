"""Requests: which are handed on, and how a bad one is answered."""

from __future__ import annotations

import pytest
from unit.protocol_conversation import ALL, answer, code, opened, say

from streamseg.server.protocol import HandleRequestAction, ProtocolState
from streamseg.wire import requests as r


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
