"""Any conversation at all, as Hypothesis likes it: the answer is always one the contract knows."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamseg.server.access_tokens import AccessTokens
from streamseg.server.protocol import CloseConnectionAction, ProtocolState, ServerProtocol
from streamseg.settings import ServerSettings
from streamseg.wire import messages as m
from streamseg.wire import token_proof
from tools.load.fuzz import check
from tools.load.mutator import GOOD

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted({key for good in GOOD for key in good["d"]})


class Conversation(RuleBasedStateMachine):
    """A model of the rules beside the real thing."""

    def __init__(self) -> None:
        super().__init__()
        hello = m.Hello(
            server="s",
            protocol=1,
            min_protocol=1,
            auth=m.AuthChallenge("hmac-sha256", "c0ffee"),
            heartbeat_s=1,
            max_queue_bytes=1,
            history=m.HistoryLimits(1, 1),
            streams=["mic", "line"],
        )
        self.now = 0.0
        self.allowance = 30.0
        limits = ServerSettings(messages_per_s=5, message_burst=30, identify_timeout_s=10)
        self.conn = ServerProtocol(hello, AccessTokens("read", "control"), limits, 0.0)
        self.role: str | None = None
        self.closed = False

    def say(self, message: object) -> list:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        was_closed = self.conn.state is ProtocolState.CLOSED
        actions = self.conn.receive_message(text, self.now)
        if was_closed:
            assert actions == []
            return []
        self.allowance -= 1
        if self.allowance < 0:
            assert [action.code for action in actions if isinstance(action, CloseConnectionAction)] == [4029]
        check(actions, self.conn, {})
        return actions

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds):
        self.now += seconds
        self.allowance = min(30.0, self.allowance + 5 * seconds)
        late = self.conn.state is ProtocolState.HELLO_SENT and self.now >= 10
        expired = self.conn.make_identify_timeout_actions(self.now)
        assert [action.code for action in expired] == ([4007] if late else [])

    @rule(token=st.sampled_from(["read", "control", "wrong", ""]))
    def identify(self, token):
        fresh = self.conn.state is ProtocolState.HELLO_SENT and self.allowance >= 1
        d = {"protocol": 1, "auth": token_proof.compute_proof(token, "c0ffee")}
        actions = self.say({"op": "identify", "d": d})
        if fresh and token in ("read", "control"):
            self.role = token
            assert self.conn.state is ProtocolState.OPEN
        elif fresh:
            assert [action.code for action in actions] == [4009]

    @rule(good=st.sampled_from(GOOD), key=st.sampled_from(KEYS), value=ANYTHING, drop=st.booleans())
    def nearly_right(self, good, key, value, drop):
        d = {**good["d"], key: value}
        if drop:
            del d[key]
        self.say({"op": good["op"], "d": d})

    @rule(message=ANYTHING)
    def anything_in_json(self, message):
        self.say(message)

    @rule(text=st.text(max_size=40) | st.binary(max_size=40))
    def anything_at_all(self, text):
        self.say(text)

    @precondition(lambda self: self.role == "read" and self.conn.state is ProtocolState.OPEN)
    @rule()
    def reading_does_not_control(self):
        for action in self.say({"op": "request", "d": {"id": 1, "type": "reset", "stream": "mic"}}):
            if not isinstance(action, CloseConnectionAction):
                assert json.loads(action.text)["d"]["error"]["code"] == 103

    @invariant()
    def nothing_reopens(self):
        self.closed = self.closed or self.conn.state is ProtocolState.CLOSED
        assert self.closed is (self.conn.state is ProtocolState.CLOSED)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
