"""How a client comes to hear its streams: a snapshot, then every event after it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import io
import json
from collections import deque

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from websockets.asyncio.server import serve as serve_sockets

from streamseg.cli import terminal
from streamseg.cli.subscription_printer import print_subscription
from streamseg.client.protocol import ClientProtocol, Disconnected, StreamJoined
from streamseg.client.subscription import subscribe
from streamseg.server import Hub, serve
from streamseg.server.send_limit import SendLimit
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire import messages as m
from streamseg.wire.codes import CloseCode
from streamseg.wire.envelope import decode_envelope
from streamseg.wire.snapshot import OpenSection, SnapshotBuilder
from streamseg.wire.topics import TopicFilter
from tools.load.event_feed import Feed
from tools.load.join_clients import Joiner, crowd, split_frames
from tools.load.join_full import CLOCK, fill, names, talk
from tools.load.plain_client import client, stranger
from tools.load.slow_line import slow_line

LINE_BYTES_PER_S = 1e6


# The law: a snapshot and the events after it give the server's own state


class Ear:
    """A client without a socket: takes the next piece only when told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict]] = []
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.gone = False

    def send_frames(self, frames: bytes) -> None:
        whole, rest = split_frames(frames)
        assert not rest
        for _, text in whole:
            message = json.loads(text)
            self.heard.append((message["op"], message["d"]))

    send_paced_frames = send_frames

    def send_high_volume_events(self, topic: str, event_count: int, frames: bytes) -> None:
        raise AssertionError("nobody asked for it")

    def send_identified(self, streams: dict[str, m.JoinedStream]) -> None:
        self.heard.append(("identified", json.loads(msgspec.json.encode(streams))))

    async def wait_until_drained(self) -> bool:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn
        return not self.gone

    def close_connection(self, code: CloseCode, reason: str) -> None:
        raise AssertionError(f"hung up with {code}: {reason}")


def restored(epoch: str, snapshot: dict) -> SnapshotBuilder:
    """What a client makes of a snapshot, to fold events into."""
    fold = SnapshotBuilder()
    fold.start_epoch(epoch)
    state = msgspec.convert(snapshot, m.Snapshot)
    fold.state, fold._sound = state.state, state.sound
    fold._section = msgspec.convert(snapshot["section"], OpenSection) if snapshot["section"] else None
    fold._section_start = state.section.start if state.section else 0.0
    fold._alarms = {alarm["alarm"]: alarm for alarm in state.alarms}
    fold._provisional_boundaries = {boundary["boundary_id"]: boundary for boundary in state.open}
    fold._recent_sections.extend(state.recent)
    return fold


def state_of(fold: SnapshotBuilder) -> dict:
    """All of it but the position, which heartbeats tell."""
    return json.loads(msgspec.json.encode(msgspec.structs.replace(fold.make_snapshot(), t=0.0, watermark=0.0)))


class Joining(RuleBasedStateMachine):
    """Streams talk and begin anew while clients join, take their snapshots one by one, and leave."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.hub = Hub(ServerSettings(max_queue_bytes=8192))  # snapshots of few sections fit, those of more do not
        self.feeds = [Feed(self.hub, name, seed) for seed, name in enumerate(("mic", "line", "radio"))]
        self.ears: list[Ear] = []
        self.tasks: list[asyncio.Task[None]] = []

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))

    @rule(n=st.integers(0, 2), steps=st.integers(1, 8))
    def talk(self, n, steps):
        for _ in range(steps):
            self.feeds[n].step()

    @rule(n=st.integers(0, 2), on=st.booleans())
    def other_events(self, n, on):
        feed = self.feeds[n]
        fact = e.AlarmRaised if on else e.AlarmCleared
        feed.publish(e.Event("silence", fact(alarm="silence", since=1.0, level_db=-70.0)))
        before = e.SectionRelabelled(section_id=f"s-{feed.talker.section - 1}", label="Z", previous="A")
        feed.publish(e.Event(before.section_id, before))

    @rule(n=st.integers(0, 2))
    def begin_anew(self, n):
        self.feeds[n].reset()

    @precondition(lambda self: len(self.ears) < 6)
    @rule()
    def join(self):
        ear = Ear()
        audience, everything = self.hub.subscribers, tuple(self.hub.streams)
        behind = self.loop.run_until_complete(audience.add_client(ear, TopicFilter(), everything, {}))
        self.tasks.append(self.loop.create_task(audience.send_missed_events(ear, behind)))
        self.ears.append(ear)
        self.turn()

    @precondition(lambda self: any(ear.waiting for ear in self.ears))
    @rule(n=st.integers(0, 5))
    def take_a_piece(self, n):
        waiting = [ear for ear in self.ears if ear.waiting]
        waiting[n % len(waiting)].waiting.popleft().set_result(None)
        self.turn()

    @rule()
    def beat(self):
        self.hub.send_heartbeats()

    @precondition(lambda self: self.ears)
    @rule(n=st.integers(0, 5))
    def leave(self, n):
        ear = self.ears.pop(n % len(self.ears))
        self.hub.subscribers.remove_client(ear)
        ear.gone = True
        known = len(ear.heard)
        while ear.waiting:
            ear.waiting.popleft().set_result(None)
            self.turn()
        self.feeds[0].step()
        assert len(ear.heard) == known

    def teardown(self):
        while any(ear.waiting for ear in self.ears):
            self.take_a_piece(0)
        for task in self.tasks:
            assert task.done()
            task.result()
        for ear in self.ears:
            self.check(ear)
        self.loop.close()

    def check(self, ear: Ear) -> None:
        folds: dict[str, SnapshotBuilder] = {}
        places: dict[str, tuple[str, int]] = {}

        def start(stream: str, at: dict) -> None:
            assert stream not in folds
            places[stream] = at["epoch"], at["offset"]
            folds[stream] = restored(at["epoch"], at["snapshot"])

        assert [op for op, _ in ear.heard].index("identified") == 0
        for op, d in ear.heard:
            if op == "identified":
                assert set(d) == set(self.hub.streams)
                for stream, at in d.items():
                    if "snapshot" in at:
                        start(stream, at)
            elif op == "snapshot":
                start(d["stream"], d)
            elif op == "event":
                stream = d["source"].removeprefix("/streams/")
                epoch, offset = places[stream]
                assert (d["epoch"], d["offset"]) == (epoch, offset + 1) or (d["epoch"] > epoch and d["offset"] == 1)
                places[stream] = d["epoch"], d["offset"]
                folds[stream].apply_event(decode_envelope(json.dumps(d).encode()))
            elif op == "heartbeat":
                for stream, at in d["streams"].items():
                    assert places[stream] == (at["epoch"], at["offset"])
        for stream in self.hub.streams.values():
            assert m.EventCursor(*places[stream.name]) == stream.cursor
            assert state_of(folds[stream.name]) == state_of(stream.snapshot_builder)


TestJoining = Joining.TestCase
TestJoining.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# Over a real line


@pytest.fixture(scope="module")
def full_streams():
    """The names of streams whose snapshots are as large as they become, and what fills them."""
    return names(50)


async def test_many_full_streams_over_a_slow_line(full_streams, tmp_path):
    """A slice of `tools.load.join_full`: nobody is closed, nothing is missed or doubled, no heartbeat runs ahead."""
    hub = Hub(ServerSettings(heartbeat_s=0.2), history=tmp_path / "history.sqlite")
    async with serve(hub, port=0) as server:
        feeds = await fill(hub, full_streams)
        talking = asyncio.create_task(talk(feeds, 1.0, Feed(hub, CLOCK)))
        found = await crowd(server.port, full_streams, 2, 2, LINE_BYTES_PER_S, tail_s=0.5)
        talking.cancel()
    assert found["faults"] == []
    assert found["closed"] == []
    assert hub.slow_clients == 0
    assert found["events_among_snapshots"] > 50
    assert found["complete_s"]["most"] > 1.0  # else the line was none


async def test_requests_are_answered_while_snapshots_come(full_streams):
    hub = Hub()
    await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port) as listener,
    ):
        await listener.say("request", {"id": 1, "type": "snapshot", "stream": full_streams[-1]})
        ops = []
        while "response" not in ops:
            ops.append((await listener.hear())["op"])
        assert len(ops) < len(full_streams) / 2
        while ops.count("snapshot") < len(full_streams):
            ops.append((await listener.hear())["op"])


async def test_what_is_subscribed_to_meanwhile_is_heard(full_streams):
    hub = Hub()
    feeds = await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port, subscribe=["boundary"]) as listener,
    ):
        await listener.ask("subscribe", subscribe=["meter"])
        while (await listener.wait_for("snapshot"))["stream"] != full_streams[-1]:
            pass
        for feed in (feeds[0], feeds[-1]):
            feed.publish(feed.talker.meter())
            (event,) = await listener.events(1)
            assert (event["type"], event["source"]) == ("streamseg.meter.v1", f"/streams/{feed.stream}")
    assert not any(stream._clients for stream in hub.streams.values())


async def test_few_snapshots_are_inside_identified():
    hub = Hub()
    await fill(hub, ["mic", "line"])
    async with serve(hub, port=0) as server, client(server.port) as listener:
        assert [len(at["snapshot"]["recent"]) for at in listener.identified["streams"].values()] == [50, 50]


async def test_who_recovered_gets_no_snapshots_that_follow(full_streams, tmp_path):
    hub = Hub(history=tmp_path / "history.sqlite")
    async with asyncio.timeout(60), serve(hub, port=0) as server:
        feeds = await fill(hub, full_streams)
        joiner = Joiner(f"ws://127.0.0.1:{server.port}/ws", full_streams)
        await joiner.run(0.0)
        assert joiner.progress.faults == []
        feeds[3].step()
        resume = {name: {"epoch": at.epoch, "offset": at.offset} for name, at in joiner.cursors.items()}
        del resume[full_streams[7]]
        async with client(server.port, resume=resume) as listener:
            streams = listener.identified["streams"]
            assert [name for name, at in streams.items() if not at["recovered"]] == [full_streams[7]]
            assert not any("snapshot" in at for at in streams.values())
            ops = []
            while not ops or ops[-1][0] != "snapshot":
                message = await listener.hear()
                ops.append((message["op"], message["d"].get("stream")))
            replayed = streams[full_streams[3]]["replayed"]
            assert ops == [*[("event", None)] * replayed, ("snapshot", full_streams[7])]


async def test_a_snapshot_larger_than_the_limit_closes_nobody(full_streams):
    hub = Hub(ServerSettings(max_queue_bytes=4096))
    await fill(hub, full_streams[:5])
    async with serve(hub, port=0) as server, stranger(server.port) as listener:
        await listener.identify()
        got = [await listener.wait_for("snapshot") for _ in range(5)]
        assert [d["stream"] for d in got] == full_streams[:5]


# How much may wait


def test_a_client_that_reads_nothing_has_the_limit_and_no_more():
    limit = SendLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(100)
    limit.record_before_write(100, 0.1)
    assert not limit.is_within_limit_after_write(101)


def test_pieces_that_waited_for_their_turn_do_not_count():
    limit = SendLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(300, paced_bytes=300)
    limit.record_before_write(300, 0.1)
    assert limit.is_within_limit_after_write(400)
    limit.record_before_write(400, 0.2)
    assert not limit.is_within_limit_after_write(401)
    limit = SendLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(300, paced_bytes=300)
    limit.record_before_write(0, 0.1)  # the piece was read
    assert not limit.is_within_limit_after_write(201)  # what was read may wait beside the limit, at most as much again


def test_what_a_client_just_read_may_wait_too_but_not_for_long_and_not_without_end():
    limit = SendLimit(100)
    for i in range(20):  # reads 80 in every tenth of a second
        limit.record_before_write(10 if i else 0, i / 10)
        assert limit.is_within_limit_after_write(90)
    limit.record_before_write(10, 2.0)
    assert limit.is_within_limit_after_write(200)  # everybody spoke at once
    limit.record_before_write(200, 2.1)
    assert not limit.is_within_limit_after_write(201)  # memory is bounded
    limit = SendLimit(100)
    limit.record_before_write(0, 0.0)
    assert limit.is_within_limit_after_write(90)
    limit.record_before_write(10, 0.1)
    assert limit.is_within_limit_after_write(150)
    limit.record_before_write(150, 3.0)  # nothing was read for three seconds
    assert not limit.is_within_limit_after_write(150)


async def test_a_burst_that_a_good_line_has_had_no_time_to_carry_closes_nobody(full_streams):
    hub = Hub()
    feeds = await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port) as listener,
    ):
        for _ in range(40):
            await listener.wait_for("snapshot")
        for feed in feeds:  # 720 KB at once to this client, which hears forty by now; `max_queue_bytes` is 524 KB
            feed.publish(e.Event("stream", e.StreamTitle(t=0.0, title="x" * 18_000)))
        assert len(await listener.events(40)) == 40
        assert hub.slow_clients == 0


# The Python client


HELLO = {"protocol": 1, "min_protocol": 1, "auth": None, "streams": ["mic", "line"]}
SNAPSHOT = {"state": "live", "t": 1.0, "recent": []}


def receive(session: ClientProtocol, op: str, **d):
    messages, answer = session.receive_message(json.dumps({"op": op, "d": d}))
    return messages, json.loads(answer)["d"] if answer else None


def test_the_client_joins_a_stream_when_its_snapshot_is_there():
    session = ClientProtocol("ws://x/ws", resume={"mic": m.EventCursor("01A", 7)})
    nowhere = {"epoch": "01B", "offset": 3, "recovered": False, "replayed": 0}
    receive(session, "hello", **HELLO)
    assert receive(session, "identified", streams={"mic": nowhere, "line": nowhere})[0] == []
    assert session.cursors == {"mic": m.EventCursor("01A", 7)}  # a break now must not skip what was never given out
    ((joined,), _) = receive(session, "snapshot", stream="mic", epoch="01B", offset=5, snapshot=SNAPSHOT)
    assert joined == StreamJoined(
        stream="mic", epoch="01B", offset=5, is_recovered=False, replayed_count=0, snapshot=SNAPSHOT
    )
    assert session.cursors == {"mic": m.EventCursor("01B", 5)}
    assert session.snapshots == {"mic": SNAPSHOT}
    assert session.is_recovered == {"mic": False}
    _, identify = receive(session, "hello", **HELLO)
    assert identify["resume"] == {"mic": {"epoch": "01B", "offset": 5}}


def test_the_client_needs_no_snapshot_where_it_recovered():
    session = ClientProtocol("ws://x/ws", resume={"mic": m.EventCursor("01A", 7)})
    receive(session, "hello", **HELLO)
    at = {"epoch": "01A", "offset": 9, "recovered": True, "replayed": 2}
    ((joined,), _) = receive(session, "identified", streams={"mic": at})
    assert (joined.is_recovered, joined.replayed_count, joined.snapshot) == (True, 2, None)
    assert session.cursors == {"mic": m.EventCursor("01A", 7)}


def test_a_server_that_closes_at_once_is_not_asked_again_at_once():
    session = ClientProtocol("ws://x/ws")
    at = {"epoch": "01A", "offset": 9, "recovered": False, "replayed": 0, "snapshot": SNAPSHOT}
    waits = []
    for _ in range(40):
        receive(session, "identified", streams={"mic": at})
        waits.append(session.next_retry_delay_s())
    assert max(waits) > 2
    receive(session, "identified", streams={"mic": at})
    beat = {"epoch": "01A", "t": 1, "watermark": 0, "lag_s": 0, "offset": 9, "dropped_samples": 0}
    receive(session, "heartbeat", streams={"mic": beat})
    assert session.next_retry_delay_s() <= 0.1


async def test_watch_says_why_a_connection_ended_and_what_was_missed(monkeypatch):
    """It used to say that nothing was missed, 53 times, and never that the server had closed it with 4308."""
    streams = [
        {"epoch": "01A", "offset": 9, "recovered": False, "replayed": 0, "snapshot": {**SNAPSHOT, "state": "live"}},
        {"epoch": "01A", "offset": 12, "recovered": True, "replayed": 3},
        {"epoch": "01B", "offset": 0, "recovered": False, "replayed": 0, "snapshot": {**SNAPSHOT, "state": "stopped"}},
    ]
    connections = iter(streams)

    async def be_slow(connection) -> None:
        await connection.send(json.dumps({"op": "hello", "d": HELLO}))
        await connection.recv()
        d = {"protocol": 1, "session": "s", "role": "read", "streams": {"mic": next(connections)}}
        await connection.send(json.dumps({"op": "identified", "d": d}))
        await connection.close(4308, "too \x1b[31mslow")

    printed = io.StringIO()
    monkeypatch.setattr(terminal.stderr, "file", printed)
    monkeypatch.setattr(terminal.stderr, "soft_wrap", True)
    async with serve_sockets(be_slow, "127.0.0.1", 0) as server, asyncio.timeout(60):
        port = next(iter(server.sockets)).getsockname()[1]
        await print_subscription(subscribe(f"ws://127.0.0.1:{port}/ws"), as_json=True, until_stopped=True)
    lost = "connection lost (the server closed it with 4308, too \N{REPLACEMENT CHARACTER}[31mslow); trying again"
    assert printed.getvalue().splitlines()[:4] == [
        lost,
        "mic: connected again; no event was missed; 3 events from in between follow",
        lost,
        "mic: connected again; the events in between are lost: the server no longer has them",
    ]


def test_a_connection_that_never_stood_is_not_lost():
    session = ClientProtocol("ws://x/ws")
    assert session.record_disconnection(OSError("refused")) == []
    receive(session, "identified", streams={})
    assert session.record_disconnection(OSError("reset")) == [Disconnected(None, "reset")]
    assert session.record_disconnection(OSError("refused")) == []
