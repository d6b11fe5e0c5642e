"""One stream as its listeners see it: what was sent, up to where, and to whom.

Everything here happens on the event loop, and only for events that may be sent (committed to the history, where
there is one). So the state, the cursor in heartbeats and the snapshot always agree with what listeners have got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from streamseg.history.batches import EncodedEvent, EventBatch
from streamseg.server.request_subjects import RequestSubjects
from streamseg.wire.codes import CloseCode
from streamseg.wire.controls import StreamControls
from streamseg.wire.frames import encode_event_message, encode_message, make_text_frame
from streamseg.wire.messages import HeartbeatEntry, JoinedStream, StreamSnapshot
from streamseg.wire.progress import StreamProgress
from streamseg.wire.snapshot import SnapshotBuilder
from streamseg.wire.topics import TopicFilter


class StreamClient(Protocol):
    """A client, as a stream sees it."""

    def send(self, frames: bytes) -> None:
        """Send these frames, or hang up. Never blocks."""

    def send_piece(self, frames: bytes) -> None:
        """Send a piece of what is sent only as fast as it is read (see `drained`). Never blocks, never hangs up."""

    def send_high_volume(self, topic: str, n: int, frames: bytes) -> None:
        """Send these n events of a topic, or count them as dropped. Never blocks."""

    async def wait_until_drained(self) -> bool:
        """Wait until little is left to send, and let others have their turn; false when the client is gone."""

    def send_identified(self, streams: dict[str, JoinedStream]) -> None:
        """Tell the client that it is in, and where it stands in each stream."""

    def close_connection(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""


class ServedStream:
    """One named stream."""

    def __init__(self, name: str, epoch: str, controls: StreamControls | None) -> None:
        self.name = name
        self.controls = controls
        self.source: str | None = None  # where its sound comes from; for who may control
        self.epoch = epoch
        self.offset = 0
        self.position = StreamProgress(0.0, 0.0)
        self.is_recorded = True
        self.snapshot_builder = SnapshotBuilder()
        self.snapshot_builder.start_epoch(epoch)
        self.subjects = RequestSubjects()
        self.event_counts: Counter[str] = Counter()
        self._clients: dict[TopicFilter, set[StreamClient]] = {}
        self._snapshot_frame: bytes | None = None  # encoded once for all who join before the state changes

    @property
    def cursor(self) -> tuple[str, int]:
        """The cursor after everything sent so far."""
        return self.epoch, self.offset

    def deliver_batch(self, batch: EventBatch, *, is_recorded: bool = True) -> None:
        """Send events to whoever wants them; the position holds once they are sent."""
        self._snapshot_frame = None
        if batch.epoch is not None and batch.epoch != self.epoch:
            self.epoch, self.offset = batch.epoch, 0
            self.position = StreamProgress(0.0, 0.0)
            self.snapshot_builder.start_epoch(batch.epoch)
        for said in batch.events:
            if isinstance(said.envelope.offset, int):
                self.offset = said.envelope.offset
            self.snapshot_builder.apply_event(said.envelope)
            self.subjects.push(said.envelope)
        if batch.events:
            self.is_recorded = is_recorded
        if batch.position is not None:
            self.position = batch.position
            self.snapshot_builder.set_position(batch.position.t, batch.position.watermark)
        self.send_events(batch.events, is_recorded=is_recorded)

    def send_events(self, events: Sequence[EncodedEvent], *, is_recorded: bool = True) -> None:
        """Send events to whoever wants them, each with one write a listener."""
        if not events:
            return
        frames = [make_text_frame(encode_event_message(said.json, is_recorded=is_recorded)) for said in events]
        for said in events:
            self.event_counts[said.envelope.type] += 1
        for topic_filter, listeners in list(self._clients.items()):
            _send_to_clients(topic_filter, listeners, events, frames)

    def add_client(self, listener: StreamClient, topic_filter: TopicFilter) -> None:
        """From the next event on, this listener hears the stream."""
        self._clients.setdefault(topic_filter, set()).add(listener)

    def remove_client(self, listener: StreamClient, topic_filter: TopicFilter) -> None:
        """It hears it no longer."""
        listeners = self._clients.get(topic_filter, set())
        listeners.discard(listener)
        if not listeners:
            self._clients.pop(topic_filter, None)

    def make_heartbeat(self) -> HeartbeatEntry:
        """How far the stream is, for a heartbeat."""
        at = self.position
        return HeartbeatEntry(
            epoch=self.epoch,
            t=at.t,
            watermark=at.watermark,
            lag_s=at.lag_s,
            offset=self.offset,
            dropped_samples=at.dropped_samples,
            kept=self.is_recorded,
        )

    def make_joined(self, *, recovered: bool, with_snapshot: bool) -> JoinedStream:
        """Where a client stands that joins now."""
        snapshot = self.snapshot_builder.make_snapshot() if with_snapshot else UNSET
        return JoinedStream(epoch=self.epoch, offset=self.offset, recovered=recovered, replayed=0, snapshot=snapshot)

    def snapshot_frame(self) -> bytes:
        """The frame of the message `snapshot`: the state right after everything sent so far."""
        if self._snapshot_frame is None:
            now = StreamSnapshot(
                stream=self.name, epoch=self.epoch, offset=self.offset, snapshot=self.snapshot_builder.make_snapshot()
            )
            self._snapshot_frame = make_text_frame(encode_message("snapshot", now))
        return self._snapshot_frame

    def make_status(self) -> dict[str, Any]:
        """For `/status`: position, cursor, and what sounds now."""
        return {
            **msgspec.to_builtins(self.make_heartbeat()),
            "snapshot": msgspec.to_builtins(self.snapshot_builder.make_snapshot()),
        }


def _send_to_clients(
    topic_filter: TopicFilter, listeners: set[StreamClient], events: Sequence[EncodedEvent], frames: list[bytes]
) -> None:
    wanted: list[bytes] = []
    extras: dict[str, list[bytes]] = {}
    for said, frame in zip(events, frames):
        if not topic_filter.wants_event(said.topic, said.envelope.type):
            continue
        if said.high_volume:
            extras.setdefault(said.topic, []).append(frame)
        else:
            wanted.append(frame)
    if wanted:
        joined = b"".join(wanted)
        for listener in tuple(listeners):
            listener.send(joined)
    for topic_, some in extras.items():
        joined = b"".join(some)
        for listener in tuple(listeners):
            listener.send_high_volume(topic_, len(some), joined)
