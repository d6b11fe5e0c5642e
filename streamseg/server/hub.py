"""Where events come in once and go out to everybody.

The hub lives on the event loop. Whoever feeds a stream calls `publish` there (a worker thread by
`loop.call_soon_threadsafe`) and never waits: neither clients nor the disk can hold up the sound.

::

    publish ─▶ recorder (own thread: commit) ─▶ stream.deliver ─▶ every listener's buffer
                                                    ▲
    a resuming client: replay (own thread: read) ───┤ joins where the replay has reached the head, in one step
    any other client: a snapshot of the stream ─────┘ joins where the snapshot was taken, in one step
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streamseg.envelope import Envelope
from streamseg.errors import AskedWrongly
from streamseg.events import Event, HistoryFailedFact, HistoryRestored
from streamseg.server import messages as m
from streamseg.server.audience import Audience
from streamseg.server.recorder import Outcome, Recorder
from streamseg.server.replay import Replay
from streamseg.server.stream import Batch, Controls, Position, Said, Stream, by_epoch, say
from streamseg.settings import ServerSettings

_PIECE_BYTES = 65_536


class Failure(NamedTuple):
    """The history fails: why, and since when."""

    reason: str
    since: str


class Hub:
    """All streams of one server; its `audience` are those who listen to them."""

    def __init__(self, settings: ServerSettings | None = None, *, history: Path | None = None) -> None:
        """history: the file to keep events in; None keeps none. `serve` opens and closes it."""
        self.settings = settings or ServerSettings()
        self.streams: dict[str, Stream] = {}
        self.failure: Failure | None = None
        self.slow_clients = 0
        self.shed_events = 0
        self._history = history
        self._recorder: Recorder | None = None
        self._replay: Replay | None = None
        self._outlived: list[Replay] = []  # of files that were set aside
        self._early: list[Batch] = []  # what was published before `open`
        self._written: deque[Outcome] = deque()
        self._owed: dict[str, Event] = {}
        self._in_flight = 0  # batches published and not yet sent
        self.audience = Audience(self.streams, self.settings, lambda: self._replay)

    @property
    def keeps(self) -> bool:
        """Whether there is a history at all."""
        return self._history is not None

    @property
    def history_path(self) -> Path | None:
        """The file events are kept in; another than asked where that one was in use."""
        return self._recorder.path if self._recorder is not None else self._history

    async def open(self) -> None:
        """Open the history and begin to deliver. Raises HistoryFailed when its path can never work."""
        if self._history is not None:
            loop = asyncio.get_running_loop()

            def deliver(outcomes: Sequence[Outcome]) -> None:
                loop.call_soon_threadsafe(self._deliver, outcomes)

            def failed(reason: str, since: str) -> None:
                loop.call_soon_threadsafe(self._failed, reason, since)

            def restored(reason: str, since: str, broken: frozenset[str]) -> None:
                loop.call_soon_threadsafe(self._restored, reason, since, broken)

            self._recorder = Recorder(self._history, self.settings, deliver, failed, restored)
            self._recorder.start()
            self._replay = Replay(self._recorder.path)
        early, self._early = self._early, []
        for batch in early:
            self._put(batch)

    async def close(self) -> None:
        """Write and deliver everything published so far."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.stop)  # its last words are on the loop before this returns
            while self._written:
                await asyncio.sleep(0)
            self._recorder = None
        replays = [*self._outlived, *([self._replay] if self._replay is not None else [])]
        self._outlived, self._replay = [], None  # whoever is still catching up is told to come back
        for replay in replays:
            await replay.close()

    def add_stream(self, name: str, epoch: str, controls: Controls | None = None, *, source: str | None = None) -> None:
        """Announce a stream, before its first event; again with a new epoch when it runs anew.

        source: where its sound comes from, a path for instance; told to nobody but who may control.
        """
        known = self.streams.get(name)
        if known is None:
            self.streams[name] = Stream(name, epoch, controls)
        else:
            known.controls = controls
        self.streams[name].source = source
        self._put(Batch(name, epoch, (), None))

    def publish(self, stream: str, envelopes: Iterable[Envelope], position: Position) -> None:
        """Events of one stream in order, and how far it was heard when they were said."""
        kept: list[Said] = []
        passing: list[Said] = []
        for envelope in envelopes:
            said = say(envelope)
            (passing if said.high_volume else kept).append(said)
        if passing:
            self.streams[stream].send(passing)
        for batch in by_epoch(stream, kept, position):
            self._put(batch)
        if not kept:
            self._put(Batch(stream, None, (), position))

    def close_stream(self, name: str) -> None:
        """Nobody feeds the stream any more; what it said can still be asked for."""
        self.streams[name].controls = None

    def beat(self) -> None:
        """Tell every client how far its streams are."""
        self.audience.beat()

    async def past(self, id: int | str, request: m.HistoryRequest) -> m.HistoryAnswer | None:
        """The answer to a history request; None when that epoch is not known."""
        if self._replay is None:
            return None
        return await self._replay.answer(id, request, self.settings.max_queue_bytes // 2)

    def control(self, request: m.Control, by: str) -> None:
        """Hand a control request to whoever feeds the stream.

        Raises AskedWrongly when nobody does, UnknownSubject when it is about a label or alarm that there is not.
        """
        stream = self.streams.get(request.stream)
        if stream is None or stream.controls is None:
            raise AskedWrongly(f"stream {request.stream!r} takes no requests; it is not being fed")
        match request:
            case m.Finish():
                stream.controls.finish()
            case m.Reset():
                stream.controls.reset()
            case m.Set(sensitivity=sensitivity):
                stream.controls.set_sensitivity(sensitivity)
            case m.Mark(t=t, verdict=verdict):
                stream.controls.mark(t, verdict)
            case m.Name(label=label, name=name):
                stream.subjects.check_label(stream.name, label)
                stream.controls.name(label, name, by)
            case m.Acknowledge(alarm=alarm):
                stream.subjects.check_alarm(stream.name, alarm)
                stream.controls.acknowledge(alarm, by)

    def _put(self, batch: Batch) -> None:
        if self._history is None:
            self.streams[batch.stream].deliver(batch)
        elif self._recorder is None:
            self._early.append(batch)
        elif batch.said or batch.epoch or self._in_flight:
            self._in_flight += 1
            self._recorder.put(batch)
        else:  # a position alone, and nothing before it: nothing to write
            self.streams[batch.stream].deliver(batch)

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        idle = not self._written
        self._written.extend(outcomes)
        if idle:
            self._send_some()

    def _send_some(self) -> None:
        """Send what was written, a piece at a time: a burst must not make ready clients look slow."""
        size = 0
        while self._written and size < _PIECE_BYTES:
            batch, kept = self._written.popleft()
            self._in_flight -= 1
            stream = self.streams[batch.stream]
            begins = batch.epoch not in (None, stream.epoch)
            stream.deliver(batch, kept=kept)
            if begins and kept and stream.controls is not None and (owed := self._owed.pop(stream.name, None)):
                stream.controls.say(owed)
            size += sum(len(said.json) for said in batch.said)
        if self._written:
            asyncio.get_running_loop().call_soon(self._send_some)

    def _failed(self, reason: str, since: str) -> None:
        self.failure = Failure(reason, since)
        for stream in self.streams.values():
            if stream.controls is not None:
                stream.controls.say(Event("history", HistoryFailedFact(reason=reason, since=since)))

    def _restored(self, reason: str, since: str, broken: frozenset[str]) -> None:
        self.failure = None
        if self._recorder is not None and self._replay is not None:
            self._outlived.append(self._replay)
            self._replay = Replay(self._recorder.path)  # the file may be another one
        restored = Event("history", HistoryRestored(reason=reason, since=since))
        for name, stream in self.streams.items():
            if stream.controls is None:
                continue
            if name in broken:
                self._owed[name] = restored  # said in the new epoch, where it can be kept
                stream.controls.reset()
            else:
                stream.controls.say(restored)
