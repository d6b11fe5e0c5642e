"""Whatever happens while clients join: a snapshot and the events after it give the server's own state."""

from __future__ import annotations

import asyncio
import json
from collections import deque

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from streamseg.server import Hub
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire import messages as m
from streamseg.wire.codes import CloseCode
from streamseg.wire.envelope import decode_envelope
from streamseg.wire.snapshot import OpenSection, SnapshotBuilder
from streamseg.wire.topics import TopicFilter
from tools.load.event_feed import Feed
from tools.load.join_clients import split_frames


class Ear:
    """A client without a socket: takes the next piece only when told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict]] = []
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.gone = False

    def send_frames_or_disconnect(self, frames: bytes) -> None:
        whole, rest = split_frames(frames)
        assert not rest
        for _, text in whole:
            message = json.loads(text)
            self.heard.append((message["op"], message["d"]))

    send_frames_exempt_from_limit = send_frames_or_disconnect

    def send_or_drop_high_volume_events(self, topic: str, n: int, frames: bytes) -> None:
        raise AssertionError("nobody asked for it")

    def send_identified_message(self, streams: dict[str, m.JoinedStream]) -> None:
        self.heard.append(("identified", json.loads(msgspec.json.encode(streams))))

    async def wait_until_drained(self) -> bool:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn
        return not self.gone

    def start_closing_handshake(self, code: CloseCode, reason: str) -> None:
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
        self.feeds[n].request_new_epoch()

    @precondition(lambda self: len(self.ears) < 6)
    @rule()
    def join(self):
        ear = Ear()
        audience, everything = self.hub.subscribers, tuple(self.hub.streams)
        behind = self.loop.run_until_complete(audience.accept_client(ear, TopicFilter(), everything, {}))
        self.tasks.append(self.loop.create_task(audience.catch_up_client(ear, behind)))
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
