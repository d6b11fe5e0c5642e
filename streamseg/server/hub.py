"""The hub: takes the events of all streams, passes them to the history, and sends them to the clients.

The hub lives on the event loop. The producer of a stream calls `publish` there (a worker thread by
`loop.call_soon_threadsafe`) and never waits: neither clients nor the disk can delay the sound.

::

    publish ─▶ recorder (own thread: commit) ─▶ stream.apply_and_send_batch ─▶ the buffer of every client
                                                    ▲
    a resuming client: history (own thread: read) ──┤ joins where the replay has reached the head, in one step
    any other client: a snapshot of the stream ─────┘ joins where the snapshot was taken, in one step
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streamseg.errors import UsageError
from streamseg.history.batches import EncodedEvent, EventBatch, batch_events_by_epoch
from streamseg.history.reader import HistoryReader
from streamseg.history.writer_thread import DeliverableBatch, HistoryRecorder
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
    """Why the history cannot be written (`reason`), and since when (`since`, RFC 3339)."""

    reason: str
    since: str


class Hub:
    """Takes the events of all streams of one server, records them, and sends them to its clients (`subscribers`).

    failure: why the history cannot be written now, None while it can. slow_clients, dropped_events: how many clients
    were disconnected for reading too slowly, and how many high-volume events such clients did not get.
    """

    def __init__(self, settings: ServerSettings | None = None, *, history: Path | None = None) -> None:
        """history: path of the file that events are recorded in; None records none. `serve` opens and closes it."""
        self.settings = settings or ServerSettings()
        self.streams: dict[str, ServedStream] = {}
        self.failure: HistoryFailure | None = None
        self.slow_clients = 0
        self.dropped_events = 0
        self._history = history
        self._recorder: HistoryRecorder | None = None
        self._history_reader: HistoryReader | None = None
        self._replaced_readers: list[HistoryReader] = []  # of files that were set aside
        self._early_batches: list[EventBatch] = []  # published before `open_history`
        self._written_batches: deque[DeliverableBatch] = deque()  # not delivered yet
        self._restored_events: dict[str, Event] = {}  # by stream: to publish in its next epoch
        self._in_flight = 0  # batches published and not delivered yet
        self.subscribers = Subscribers(self.streams, self.settings, lambda: self._history_reader)

    @property
    def has_history(self) -> bool:
        """Whether this hub has a history, even one that cannot be written now."""
        return self._history is not None

    @property
    def history_path(self) -> Path | None:
        """The path of the file in which events are recorded; None without a history.

        It is not the requested one if another process used that.
        """
        return self._recorder.path if self._recorder is not None else self._history

    async def open_history(self) -> None:
        """Open the history; from now on record and deliver events, first those that were published before.

        Raises UsageError or HistoryError when its path can never be used.
        """
        if self._history is not None:
            loop = asyncio.get_running_loop()

            def on_written(results: Sequence[DeliverableBatch]) -> None:
                loop.call_soon_threadsafe(self._on_written, results)

            def on_failed(reason: str, since: str) -> None:
                loop.call_soon_threadsafe(self._on_history_failed, reason, since)

            def on_restored(reason: str, since: str, streams: frozenset[str]) -> None:
                loop.call_soon_threadsafe(self._on_history_restored, reason, since, streams)

            self._recorder = HistoryRecorder(self._history, self.settings, on_written, on_failed, on_restored)
            self._recorder.start()
            self._history_reader = HistoryReader(self._recorder.path)
        batches, self._early_batches = self._early_batches, []
        for batch in batches:
            self._queue_batch(batch)

    async def flush_and_close_history(self) -> None:
        """Record and deliver all events that were published, then close the history."""
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.finish_and_close)  # its last results are on the loop afterwards
            while self._written_batches:
                await asyncio.sleep(0)
            self._recorder = None
        readers = [*self._replaced_readers, *([self._history_reader] if self._history_reader is not None else [])]
        self._replaced_readers, self._history_reader = [], None  # clients that are still resuming must reconnect
        for reader in readers:
            await reader.close()

    def add_stream(
        self, name: str, epoch: str, controls: StreamControls | None = None, *, source: str | None = None
    ) -> None:
        """Add a stream before its first event is published, or start a new epoch of one that was added before.

        epoch: a ULID. controls: carries out clients' requests; None refuses them. source: where the sound comes from, a
        path for instance; shown only to clients that may control.
        """
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = ServedStream(name, epoch, controls)
        stream.controls, stream.has_ended = controls, False
        stream.source = source
        self._queue_batch(EventBatch(name, epoch, (), None))

    def publish(self, stream: str, envelopes: Iterable[Envelope], progress: StreamProgress) -> None:
        """Record the next events of a stream and send them to clients. Must be called on the event loop; never waits.

        stream: name, as in `add_stream`. progress: how far the stream is processed after these events.
        """
        recorded_events: list[EncodedEvent] = []
        high_volume_events: list[EncodedEvent] = []
        for envelope in envelopes:
            event = EncodedEvent.from_envelope(envelope)
            (high_volume_events if event.is_high_volume else recorded_events).append(event)
        if high_volume_events:
            self.streams[stream].send_events(high_volume_events)
        for batch in batch_events_by_epoch(stream, recorded_events, progress):
            self._queue_batch(batch)
        if not recorded_events:
            self._queue_batch(EventBatch(stream, None, (), progress))

    def remove_stream_controls(self, name: str) -> None:
        """Refuse control requests for a stream from now on; call it when the stream has ended.

        Its snapshot and history can still be requested.
        """
        stream = self.streams[name]
        stream.controls, stream.has_ended = None, True

    def send_heartbeats(self) -> None:
        """Send every client one heartbeat: how far each of its streams is processed. Called at regular intervals."""
        self.subscribers.send_heartbeats()

    async def make_history_response(self, id: int | str, request: r.HistoryRequest) -> r.HistoryResponse | None:
        """Read recorded events for a client's request; return the response, or None if the epoch is not recorded."""
        if self._history_reader is None:
            return None
        return await self._history_reader.make_history_response(id, request, self.settings.max_queue_bytes // 2)

    def execute_control_request(self, request: r.ControlRequest, client_name: str) -> None:
        """Carry out a client's request to control a stream; raise UsageError if the stream has ended or refuses.

        UnknownLabelOrAlarmError, a subclass, if the stream lacks the label or alarm.
        """
        stream = self.streams.get(request.stream)
        if stream is not None and stream.has_ended:
            raise UsageError(
                f"stream {request.stream!r} has ended; labels can be named, boundaries marked and settings changed "
                "only while it plays: serve it again"
            )
        if stream is None or stream.controls is None:
            raise UsageError(f"stream {request.stream!r} takes no requests; it is not being fed")
        match request:
            case r.FinishRequest():
                stream.controls.finish()
            case r.ResetRequest():
                stream.controls.request_new_epoch()
            case r.SetSensitivityRequest(sensitivity=sensitivity):
                stream.controls.set_next_epoch_sensitivity(sensitivity)
            case r.MarkBoundaryRequest(t=t, verdict=verdict):
                stream.controls.mark_boundary(t, verdict)
            case r.NameLabelRequest(label=label, name=name):
                stream.labels_and_alarms.require_label(stream.name, label)
                stream.controls.name_label(label, name, client_name)
            case r.AcknowledgeAlarmRequest(alarm=alarm):
                stream.labels_and_alarms.require_raised_alarm(stream.name, alarm)
                stream.controls.acknowledge_alarm(alarm, client_name)

    def _queue_batch(self, batch: EventBatch) -> None:
        if self._history is None:
            self.streams[batch.stream].apply_and_send_batch(batch)
        elif self._recorder is None:
            self._early_batches.append(batch)
        elif batch.events or batch.epoch or self._in_flight:
            self._in_flight += 1
            self._recorder.put_batch(batch)
        else:  # only the progress, and no batch before it: nothing to write
            self.streams[batch.stream].apply_and_send_batch(batch)

    def _on_written(self, results: Sequence[DeliverableBatch]) -> None:
        was_idle = not self._written_batches
        self._written_batches.extend(results)
        if was_idle:
            self._deliver_written()

    def _deliver_written(self) -> None:
        """Deliver written batches, a bounded size at a time: a burst must not make good readers look slow."""
        size = 0
        while self._written_batches and size < _SEND_BYTES:
            batch, is_recorded = self._written_batches.popleft()
            self._in_flight -= 1
            stream = self.streams[batch.stream]
            starts_epoch = batch.epoch not in (None, stream.epoch)
            stream.apply_and_send_batch(batch, is_recorded=is_recorded)
            if starts_epoch and is_recorded and stream.controls is not None and stream.name in self._restored_events:
                stream.controls.publish_event(self._restored_events.pop(stream.name))
            size += sum(len(event.json) for event in batch.events)
        if self._written_batches:
            asyncio.get_running_loop().call_soon(self._deliver_written)

    def _on_history_failed(self, reason: str, since: str) -> None:
        self.failure = HistoryFailure(reason, since)
        for stream in self.streams.values():
            if stream.controls is not None:
                stream.controls.publish_event(Event("history", HistoryFailed(reason=reason, since=since)))

    def _on_history_restored(self, reason: str, since: str, incomplete_streams: frozenset[str]) -> None:
        """Go on recording. incomplete_streams: their epoch is incomplete, so they must start a new one."""
        self.failure = None
        if self._recorder is not None and self._history_reader is not None:
            self._replaced_readers.append(self._history_reader)
            self._history_reader = HistoryReader(self._recorder.path)  # the file may be another one
        event = Event("history", HistoryRestored(reason=reason, since=since))
        for name, stream in self.streams.items():
            if stream.controls is None:
                continue
            if name in incomplete_streams:
                self._restored_events[name] = event  # published in the new epoch, where it can be recorded
                stream.controls.request_new_epoch()
            else:
                stream.controls.publish_event(event)
