"""Who may read and who may control: tokens, proofs and roles."""

from __future__ import annotations

import time

import pytest
from unit.protocol_conversation import answer, code, connection, opened, say

from streamseg.client.protocol import sanitize_server_text
from streamseg.server import access_tokens
from streamseg.server.access_tokens import AccessTokens
from streamseg.server.protocol import HandleRequestAction, JoinStreamsAction
from streamseg.wire import requests as r
from streamseg.wire import token_proof


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


def test_comparing_takes_the_same_time_however_much_is_right(monkeypatch):
    """With proofs of a million characters, else nobody would see a comparison that ends at the first difference."""
    allowed, right = AccessTokens("r"), "r" * 1_000_000
    monkeypatch.setattr(access_tokens, "compute_proof", lambda token, challenge: right)
    nearly, not_at_all = right[:-1] + "x", "x" * len(right)

    def fastest(auth: str) -> float:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            assert allowed.role_for_proof("c", auth) is None
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
    assert refused["error"]["message"].startswith(f"`{d['type']}` takes the control token; ")
    (meet,) = say(opened(control="c"), "request", {"id": 7, **d})
    assert meet == HandleRequestAction(7, request_)


@pytest.mark.parametrize(
    ("tokens", "shown", "advice"),
    [
        ({}, None, "this server has none, so nobody can control it: start it with"),
        ({"read": "r"}, "r", "this server has none, so nobody can control it: start it with"),
        ({"control": "c"}, None, "this client gave no token, or the read token: give"),
        ({"read": "r", "control": "c"}, "r", "this client gave no token, or the read token: give"),
    ],
)
def test_who_may_not_control_is_told_how_to(tokens, shown, advice):
    conn = connection(**tokens)
    proof = {} if shown is None else {"auth": token_proof.compute_proof(shown, "c0ffee")}
    say(conn, "identify", {"protocol": 1, **proof})
    d, _ = CONTROLS[0]
    message = answer(say(conn, "request", {"id": 7, **d}))["error"]["message"]
    assert message.startswith(f"`name` takes the control token; {advice}")
    assert "STREAMSEG_CONTROL_TOKEN" in message
    assert sanitize_server_text(message) == message
