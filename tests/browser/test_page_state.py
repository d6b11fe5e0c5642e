"""The page's own logic, in the browser that runs it: the fold, the curve's memory, resume, signing."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import msgspec
import pytest
import pytest_asyncio
from scripted import programme
from ulid import ULID

from streamseg.wire.envelope import EventSequencer, encode_envelope
from streamseg.wire.snapshot import SnapshotBuilder

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all


@pytest_asyncio.fixture(loop_scope="session")
async def module(stage, window):
    """Runs JavaScript beside the page's modules."""
    stage.begin()
    await stage.open()
    page = await window.look(stage.url)

    async def run(script: str, argument=None):
        return await page.evaluate(script, argument)

    return run


def envelopes(scenes=10):
    sequencer = EventSequencer("mic", str(ULID()), time.time)
    return [envelope for _, said in programme(scenes) for envelope in sequencer.stamp_events(said)]


async def test_a_snapshot_and_what_follows_are_the_whole(module):
    """Wherever the connection broke, and whatever the history still has, the settled facts are the same."""
    said = [envelope for envelope in envelopes() if envelope.offset is not msgspec.UNSET]
    cases = []
    for back in range(3, len(said), 7):
        fold = SnapshotBuilder()
        for envelope in said[:back]:
            fold.apply_event(envelope)
        fold.set_position(max(getattr(e.data, "decided_t", 0.0) for e in said[:back]), 0.0)
        for left, kept in ((0, 0), (back // 2, back // 2), (back // 2, back - 1), (back - 1, 0)):
            cases.append(
                {"left": left, "back": back, "kept": kept, "snapshot": msgspec.to_builtins(fold.make_snapshot())}
            )
    wrong = await module(
        """async ({ said, cases }) => {
          const { applyEvent, emptyStream } = await import("/state.js");
          const { applySnapshot } = await import("/snapshot.js");
          const fold = (events, s = emptyStream("mic")) => (events.forEach((e) => applyEvent(s, e)), s);
          const settled = (s) => JSON.stringify([
            s.sections.map(({ key, start, end, label }) => [key, start, end, label]),
            s.boundaries.filter(({ state }) => state === "confirmed").map(({ t }) => t),
            s.boundaries.filter(({ state }) => state === "provisional").map(({ key, t }) => [key, t]),
            [...s.alarms.keys()],
          ]);
          const whole = settled(fold(said));
          const wrong = [];
          for (const { left, back, kept, snapshot } of cases) {
            const known = fold(said.slice(0, left));
            const start = { epoch: said[0].epoch, snapshot, past: said.slice(back - kept, back) };
            const s = fold(said.slice(back), applySnapshot(known, start));
            if (settled(s) !== whole) wrong.push([left, back, kept, settled(s)]);
          }
          return [wrong.slice(0, 2), wrong.length, whole];
        }""",
        {"said": [json.loads(encode_envelope(envelope)) for envelope in said], "cases": cases},
    )
    assert wrong[:2] == [[], 0], wrong


async def test_an_event_heard_twice_counts_once(module):
    heard = await module(
        """async () => {
          const { Cursors } = await import("/protocol.js");
          const cursors = new Cursors();
          const news = ([epoch, offset]) => cursors.advance("mic", { epoch, offset });
          const first = [["01A", 1], ["01A", 2], ["01A", 2], ["01A", 1], ["01A", undefined]].map(news);
          cursors.skipTo("mic", { epoch: "01A", offset: 7 });
          const then = [["01A", 7], ["01A", 8], ["01B", 1], ["01A", 9], ["01A", undefined]].map(news);
          return [first, then, cursors.resume(["mic", "other"])];
        }"""
    )
    assert heard == [
        [True, True, False, False, True],
        [False, True, True, False, False],
        {"mic": {"epoch": "01B", "offset": 1}},
    ]


async def test_a_stream_that_cannot_be_begun_keeps_no_other_from_beginning(module):
    heard = await module(
        """async () => {
          const { Connection } = await import("/protocol.js");
          const sockets = WebSocket;
          const log = console.error;
          let socket;
          console.error = (text) => heard.push(text);
          globalThis.WebSocket = class { constructor() { socket = this; } close() {} };
          const heard = [];
          const listener = {
            state() {},
            event: (name) => heard.push(["event", name]),
            joined(name) {
              if (name === "broken") throw new Error("cannot be drawn");
              heard.push(["joined", name]);
            },
          };
          try {
            new Connection("ws://nowhere.invalid/", listener).connect();
            const say = (op, d) => socket.onmessage({ data: JSON.stringify({ op, d }) });
            const at = { epoch: "", offset: 0, recovered: false, snapshot: {} };
            say("identified", { role: "read", streams: { broken: at, whole: at } });
            for (const name of ["broken", "whole"])
              say("event", { source: `/streams/${name}`, epoch: "01A", offset: 1 });
            await new Promise((resolve) => setTimeout(resolve, 50));
            say("snapshot", { stream: "late", epoch: "", offset: 0, snapshot: {} });
            await new Promise((resolve) => setTimeout(resolve, 50));
          } finally {
            globalThis.WebSocket = sockets;
            console.error = log;
          }
          return heard;
        }"""
    )
    complaint = "stream broken could not be started"
    assert heard == [["event", "broken"], complaint, ["joined", "whole"], ["event", "whole"], ["joined", "late"]]


async def test_back_off_doubles_to_half_a_minute_with_chance(module):
    waits = await module(
        """async () => {
          const { backoffMs } = await import("/protocol.js");
          return [0, 1, 5, 50].map((n) => [backoffMs(n, () => 0), backoffMs(n, () => 1)]);
        }"""
    )
    assert waits == [[250, 500], [500, 1000], [8000, 16000], [15000, 30000]]


async def test_a_curve_of_three_days_stays_small_and_keeps_its_peaks(module):
    kept, peak, sorted_, fine = await module(
        """async () => {
          const { Trace } = await import("/trace.js");
          const trace = new Trace();
          const days = 3 * 86400;
          for (let n = 1; n <= 5 * days; n++) trace.push(n / 5, n === 777777 ? 9 : Math.sin(n), 1);
          const { points } = trace;
          const joined = points.every((p, n) => n === 0 || p.from === points[n - 1].to);
          return [points.length, Math.max(...points.map((p) => p.value)), joined,
                  points.every(({ from, to }) => to - from <= Math.max(0.21, (days - to) / 1000))];
        }"""
    )
    assert kept < 20_000
    assert peak == 9
    assert sorted_
    assert fine


@pytest.mark.parametrize("token", ["t", "tökén ✓", "x" * 64, "x" * 200])
async def test_signs_like_the_server_with_and_without_webcrypto(module, token):
    challenge = "c" * 119
    expected = hmac.new(token.encode(), challenge.encode(), hashlib.sha256).hexdigest()
    signed = await module(
        """async ([token, challenge]) => {
          const { sign, hmacSha256 } = await import("/hmac.js");
          const bytes = (text) => new TextEncoder().encode(text);
          const plain = hmacSha256(bytes(token), bytes(challenge));
          return [await sign(token, challenge), [...plain].map((byte) => byte.toString(16).padStart(2, "0")).join("")];
        }""",
        [token, challenge],
    )
    assert signed == [expected, expected]


async def test_a_label_looks_the_same_wherever_it_is_seen(module):
    looks = await module(
        """async () => {
          const { labelLook } = await import("/labels.js");
          return ["A", "B", "Z", "AA", "section-12", "Jingle", null].map(labelLook);
        }"""
    )
    assert [entry["letters"] for entry in looks] == ["A", "B", "Z", "AA", "S12", "Ji", "?"]
    assert len({(entry["colour"], entry["pattern"]) for entry in looks}) == len(looks)
