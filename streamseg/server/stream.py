"""One stream on the server: its state, its cursor, and the clients that receive it.

Everything here happens on the event loop, and only for events that may be sent (committed to the history, where
there is one). So the state, the cursor in heartbeats and the snapshot always agree with what clients have received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from streamseg.history.batches import EncodedEvent, EventBatch
from streamseg.server.label_alarm_registry import LabelAndAlarmRegistry
from streamseg.wire.codes import CloseCode
from streamseg.wire.controls import StreamControls
from streamseg.wire.frames import encode_event_message, encode_message, make_text_frame
from streamseg.wire.messages import EventCursor, HeartbeatEntry, JoinedStream, StreamSnapshot
from streamseg.wire.progress import StreamProgress
from streamseg.wire.snapshot import SnapshotBuilder
from streamseg.wire.topics import TopicFilter


class StreamClient(Protocol):
    """The interface by which a stream sends to one connected client; `ClientConnection` implements it."""

    def send_frames_or_disconnect(self, frames: bytes) -> None:
        """Send WebSocket frames without waiting; close the connection if too many bytes then wait for the client."""

    def send_frames_exempt_from_limit(self, frames: bytes) -> None:
        """Send WebSocket frames that the slow-client limit does not count; call this only while few bytes wait.

        Never waits: await `wait_until_drained` between calls.
        """

    def send_or_drop_high_volume_events(self, topic: str, event_count: int, frames: bytes) -> None:
        """Send high-volume events of a topic to the client; drop and count them if too many bytes wait for the client.

        event_count: how many events `frames` contains.
        """

    async def wait_until_drained(self) -> bool:
        """Wait until the client has read most of the waiting bytes; return False if the client has disconnected."""

    def send_identified_message(self, joined_streams: dict[str, JoinedStream]) -> None:
        """Send the message `identified`: it tells the client that it is accepted and where it starts in each stream.

        joined_streams: by name, where the client starts in each.
        """

    def start_closing_handshake(self, code: CloseCode, reason: str) -> None:
        """Send a close frame with this code and reason; abort the connection if the client does not answer in 5 s."""


class ServedStream:
    """Keeps the state of one stream, and sends its events to the clients that receive it.

    epoch, offset: of the last event sent. controls: carries out control requests; None refuses them. has_ended: whether
    the stream had controls and has ended. source: where the sound comes from, shown only to clients that may control.
    is_recorded: whether the newest events are in the history.
    """

    def __init__(self, name: str, epoch: str, controls: StreamControls | None) -> None:
        self.name = name
        self.controls = controls
        self.has_ended = False
        self.source: str | None = None
        self.epoch = epoch
        self.offset = 0
        self.progress = StreamProgress(0.0, 0.0)
        self.is_recorded = True
        self.snapshot_builder = SnapshotBuilder()
        self.snapshot_builder.start_epoch(epoch)
        self.labels_and_alarms = LabelAndAlarmRegistry()
        self.event_counts: Counter[str] = Counter()
        self._clients: dict[TopicFilter, set[StreamClient]] = {}
        self._snapshot_frame: bytes | None = None  # encoded once for all clients that join before the state changes

    @property
    def cursor(self) -> EventCursor:
        """The epoch and the offset of the last event sent; offset 0 if none was sent in this epoch."""
        return EventCursor(self.epoch, self.offset)

    def apply_and_send_batch(self, batch: EventBatch, *, is_recorded: bool = True) -> None:
        """Apply a batch of events to the state of the stream, and send them to the clients that subscribe to them.

        is_recorded: whether the batch is in the history, which its messages tell.
        """
        self._snapshot_frame = None
        if batch.epoch is not None and batch.epoch != self.epoch:
            self.epoch, self.offset = batch.epoch, 0
            self.progress = StreamProgress(0.0, 0.0)
            self.snapshot_builder.start_epoch(batch.epoch)
        for event in batch.events:
            if isinstance(event.envelope.offset, int):
                self.offset = event.envelope.offset
            self.snapshot_builder.apply_event(event.envelope)
            self.labels_and_alarms.apply_event(event.envelope)
        if batch.events:
            self.is_recorded = is_recorded
        if batch.progress is not None:
            self.progress = batch.progress
            self.snapshot_builder.set_position(batch.progress.t, batch.progress.watermark)
        self.send_events(batch.events, is_recorded=is_recorded)

    def send_events(self, events: Sequence[EncodedEvent], *, is_recorded: bool = True) -> None:
        """Send events to the clients that subscribe to them, without changing the state of the stream."""
        if not events:
            return
        frames = [make_text_frame(encode_event_message(event.json, is_recorded=is_recorded)) for event in events]
        for event in events:
            self.event_counts[event.envelope.type] += 1
        for topic_filter, clients in list(self._clients.items()):
            _send_to_clients(topic_filter, clients, events, frames)

    def add_client(self, client: StreamClient, topic_filter: TopicFilter) -> None:
        """Add a client: from the next event on, the client receives the events that `topic_filter` selects."""
        self._clients.setdefault(topic_filter, set()).add(client)

    def remove_client(self, client: StreamClient, topic_filter: TopicFilter) -> None:
        """Stop sending events to this client. topic_filter: the one with which it was added."""
        clients = self._clients.get(topic_filter, set())
        clients.discard(client)
        if not clients:
            self._clients.pop(topic_filter, None)

    def make_heartbeat(self) -> HeartbeatEntry:
        """Return this stream's part of a heartbeat message: how far the stream has been processed and sent."""
        progress = self.progress
        return HeartbeatEntry(
            epoch=self.epoch,
            t=progress.t,
            watermark=progress.watermark,
            lag_s=progress.lag_s,
            offset=self.offset,
            dropped_samples=progress.dropped_samples,
            kept=self.is_recorded,
        )

    def make_joined_stream(self, *, is_recovered: bool, with_snapshot: bool) -> JoinedStream:
        """Return this stream's part of the message `identified`, for a client that joins after all events sent so far.

        is_recovered: whether the client gets every event since its cursor. with_snapshot: whether to include the state.
        """
        snapshot = self.snapshot_builder.make_snapshot() if with_snapshot else UNSET
        return JoinedStream(epoch=self.epoch, offset=self.offset, recovered=is_recovered, replayed=0, snapshot=snapshot)

    def encode_snapshot_frame(self) -> bytes:
        """Return a `snapshot` message as a WebSocket frame: the state of the stream after all events sent so far."""
        if self._snapshot_frame is None:
            snapshot = StreamSnapshot(
                stream=self.name, epoch=self.epoch, offset=self.offset, snapshot=self.snapshot_builder.make_snapshot()
            )
            self._snapshot_frame = make_text_frame(encode_message("snapshot", snapshot))
        return self._snapshot_frame

    def make_status(self) -> dict[str, Any]:
        """Return the progress, cursor and state of the stream, as `/status` contains them."""
        return {
            **msgspec.to_builtins(self.make_heartbeat()),
            "snapshot": msgspec.to_builtins(self.snapshot_builder.make_snapshot()),
        }


def _send_to_clients(
    topic_filter: TopicFilter, clients: set[StreamClient], events: Sequence[EncodedEvent], frames: list[bytes]
) -> None:
    """Send to clients of one filter the frames that they want, joined into one write; high-volume ones by topic."""
    wanted_frames: list[bytes] = []
    high_volume: dict[str, list[bytes]] = {}
    for event, frame in zip(events, frames):
        if not topic_filter.matches_event(event.topic, event.envelope.type):
            continue
        if event.is_high_volume:
            high_volume.setdefault(event.topic, []).append(frame)
        else:
            wanted_frames.append(frame)
    if wanted_frames:
        data = b"".join(wanted_frames)
        for client in tuple(clients):
            client.send_frames_or_disconnect(data)
    for topic, topic_frames in high_volume.items():
        data = b"".join(topic_frames)
        for client in tuple(clients):
            client.send_or_drop_high_volume_events(topic, len(topic_frames), data)
