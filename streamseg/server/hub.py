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

from streamseg.errors import UsageError
from streamseg.history.batches import EncodedEvent, EventBatch, encode_event, split_by_epoch
from streamseg.history.reader import HistoryReader
from streamseg.history.writer_thread import HistoryRecorder, WriteResult
from streamseg.server.stream import ServedStream
from streamseg.server.subscribers import Subscribers
from streamseg.settings import ServerSettings
from streamseg.wire import requests as r
from streamseg.wire.controls import StreamControls
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import Event, HistoryFailed, HistoryRestored
from streamseg.wire.progress import StreamProgress

_SEND_BYTES = 65_536


class HistoryFailure(NamedTuple):
    """The history fails: why, and since when."""

    reason: str
    since: str


class Hub:
    """All streams of one server; its `audience` are those who listen to them."""

    def __init__(self, settings: ServerSettings | None = None, *, history: Path | None = None) -> None:
        """history: the file to keep events in; None keeps none. `serve` opens and closes it."""
        self.settings = settings or ServerSettings()
        self.streams: dict[str, ServedStream] = {}
        self.failure: HistoryFailure | None = None
        self.slow_clients = 0
        self.dropped_events = 0
        self._history = history
        self._recorder: HistoryRecorder | None = None
        self._replay: HistoryReader | None = None
        self._is_replaced: list[HistoryReader] = []  # of files that were set aside
        self._early_events: list[EventBatch] = []  # what was published before `open`
        self._deliverable: deque[WriteResult] = deque()
        self._undelivered: dict[str, Event] = {}
        self._in_flight = 0  # batches published and not yet sent
        self.audience = Subscribers(self.streams, self.settings, lambda: self._replay)

    @property
    def has_history(self) -> bool:
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

            def on_written(outcomes: Sequence[WriteResult]) -> None:
                loop.call_soon_threadsafe(self._on_written, outcomes)

            def on_failed(reason: str, since: str) -> None:
                loop.call_soon_threadsafe(self._on_history_failed, reason, since)

            def on_restored(reason: str, since: str, broken: frozenset[str]) -> None:
                loop.call_soon_threadsafe(self._on_history_restored, reason, since, broken)

            self._recorder = HistoryRecorder(self._history, self.settings, on_written, on_failed, on_restored)
            self._recorder.start()
            self._replay = HistoryReader(self._recorder.path)
        early, self._early_events = self._early_events, []
        for batch in early:
            self._queue_batch(batch)

    async def close(self) -> None:
        """Write and deliver everything published so far."""
        if self._recorder is not None:
            await asyncio.to_thread(
                self._recorder.finish_and_close
            )  # its last words are on the loop before this returns
            while self._deliverable:
                await asyncio.sleep(0)
            self._recorder = None
        replays = [*self._is_replaced, *([self._replay] if self._replay is not None else [])]
        self._is_replaced, self._replay = [], None  # whoever is still catching up is told to come back
        for replay in replays:
            await replay.close()

    def add_stream(
        self, name: str, epoch: str, controls: StreamControls | None = None, *, source: str | None = None
    ) -> None:
        """Announce a stream, before its first event; again with a new epoch when it runs anew.

        source: where its sound comes from, a path for instance; told to nobody but who may control.
        """
        known = self.streams.get(name)
        if known is None:
            self.streams[name] = ServedStream(name, epoch, controls)
        else:
            known.controls = controls
        self.streams[name].source = source
        self._queue_batch(EventBatch(name, epoch, (), None))

    def publish(self, stream: str, envelopes: Iterable[Envelope], position: StreamProgress) -> None:
        """Events of one stream in order, and how far it was heard when they were said."""
        kept: list[EncodedEvent] = []
        passing: list[EncodedEvent] = []
        for envelope in envelopes:
            said = encode_event(envelope)
            (passing if said.high_volume else kept).append(said)
        if passing:
            self.streams[stream].send_events(passing)
        for batch in split_by_epoch(stream, kept, position):
            self._queue_batch(batch)
        if not kept:
            self._queue_batch(EventBatch(stream, None, (), position))

    def close_stream(self, name: str) -> None:
        """Nobody feeds the stream any more; what it said can still be asked for."""
        self.streams[name].controls = None

    def send_heartbeats(self) -> None:
        """Tell every client how far its streams are."""
        self.audience.send_heartbeats()

    async def read_history(self, id: int | str, request: r.HistoryRequest) -> r.HistoryResponse | None:
        """The answer to a history request; None when that epoch is not known."""
        if self._replay is None:
            return None
        return await self._replay.read_for_request(id, request, self.settings.max_queue_bytes // 2)

    def handle_control(self, request: r.ControlRequest, by: str) -> None:
        """Hand a control request to whoever feeds the stream.

        Raises AskedWrongly when nobody does, UnknownSubject when it is about a label or alarm that there is not.
        """
        stream = self.streams.get(request.stream)
        if stream is None or stream.controls is None:
            raise UsageError(f"stream {request.stream!r} takes no requests; it is not being fed")
        match request:
            case r.FinishRequest():
                stream.controls.finish()
            case r.ResetRequest():
                stream.controls.reset()
            case r.SetRequest(sensitivity=sensitivity):
                stream.controls.set_sensitivity(sensitivity)
            case r.MarkRequest(t=t, verdict=verdict):
                stream.controls.mark_boundary(t, verdict)
            case r.NameRequest(label=label, name=name):
                stream.subjects.check_label(stream.name, label)
                stream.controls.name_label(label, name, by)
            case r.AcknowledgeRequest(alarm=alarm):
                stream.subjects.check_alarm(stream.name, alarm)
                stream.controls.acknowledge_alarm(alarm, by)

    def _queue_batch(self, batch: EventBatch) -> None:
        if self._history is None:
            self.streams[batch.stream].deliver_batch(batch)
        elif self._recorder is None:
            self._early_events.append(batch)
        elif batch.events or batch.epoch or self._in_flight:
            self._in_flight += 1
            self._recorder.put_batch(batch)
        else:  # a position alone, and nothing before it: nothing to write
            self.streams[batch.stream].deliver_batch(batch)

    def _on_written(self, outcomes: Sequence[WriteResult]) -> None:
        idle = not self._deliverable
        self._deliverable.extend(outcomes)
        if idle:
            self._send_pieces()

    def _send_pieces(self) -> None:
        """Send what was written, a piece at a time: a burst must not make ready clients look slow."""
        size = 0
        while self._deliverable and size < _SEND_BYTES:
            batch, kept = self._deliverable.popleft()
            self._in_flight -= 1
            stream = self.streams[batch.stream]
            begins = batch.epoch not in (None, stream.epoch)
            stream.deliver_batch(batch, is_recorded=kept)
            if begins and kept and stream.controls is not None and (owed := self._undelivered.pop(stream.name, None)):
                stream.controls.publish_event(owed)
            size += sum(len(said.json) for said in batch.events)
        if self._deliverable:
            asyncio.get_running_loop().call_soon(self._send_pieces)

    def _on_history_failed(self, reason: str, since: str) -> None:
        self.failure = HistoryFailure(reason, since)
        for stream in self.streams.values():
            if stream.controls is not None:
                stream.controls.publish_event(Event("history", HistoryFailed(reason=reason, since=since)))

    def _on_history_restored(self, reason: str, since: str, broken: frozenset[str]) -> None:
        self.failure = None
        if self._recorder is not None and self._replay is not None:
            self._is_replaced.append(self._replay)
            self._replay = HistoryReader(self._recorder.path)  # the file may be another one
        restored = Event("history", HistoryRestored(reason=reason, since=since))
        for name, stream in self.streams.items():
            if stream.controls is None:
                continue
            if name in broken:
                self._undelivered[name] = restored  # said in the new epoch, where it can be kept
                stream.controls.reset()
            else:
                stream.controls.publish_event(restored)
