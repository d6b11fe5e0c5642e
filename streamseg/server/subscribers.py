"""Adds clients to streams, sends them the events that they missed, and removes them.

A client joins each stream in one of two ways. In both, the step that completes the join also adds the client to the
stream's receivers, so that no event is lost and none is sent twice:

- It resumes: events after its cursor are read from the history, piece by piece, until the head is reached.
- It gets a snapshot. Small ones are inside `identified`. Where they do not fit, each is a message of its own, taken at
  the moment it is sent; before that, the client gets no events of the stream, because the snapshot will include them.

Replays and snapshots are paced: sent only as fast as the client reads. So a client that requests much waits longer and
costs no more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from streamseg.history.reader import HistoryReader, StoredEvent
from streamseg.server.stream import ServedStream, StreamClient
from streamseg.settings import ServerSettings
from streamseg.wire.codes import CloseCode
from streamseg.wire.event_data import topic_of_type
from streamseg.wire.frames import encode_event_message, encode_message, make_text_frame
from streamseg.wire.messages import EventCursor, Heartbeat, JoinedStream
from streamseg.wire.topics import TopicFilter


class Subscriber(msgspec.Struct):
    """One client's topic filter, and the names of the streams that it receives (without those it is still joining)."""

    topic_filter: TopicFilter
    streams: frozenset[str] = frozenset()


class Subscribers:
    """All accepted clients of a server: adds them to streams, sends them missed events and heartbeats, removes them."""

    def __init__(
        self,
        streams: Mapping[str, ServedStream],
        settings: ServerSettings,
        get_history: Callable[[], HistoryReader | None],
    ) -> None:
        """streams: the hub's own, by name. get_history: returns the reader of the history, or None without one."""
        self._streams = streams
        self._settings = settings
        self._get_history = get_history
        self._subscribers: dict[StreamClient, Subscriber] = {}

    async def accept_client(
        self,
        client: StreamClient,
        topic_filter: TopicFilter,
        stream_names: Sequence[str],
        resume: Mapping[str, EventCursor],
    ) -> dict[str, EventCursor | None]:
        """Add a client to streams and send it the message `identified`; return the streams that it must still join.

        resume: by stream, the last event that the client received. The result is for `catch_up_client`: by stream,
        the cursor to replay from, or None where the client needs a snapshot that did not fit into `identified`.
        """
        snapshots_fit = self._snapshots_fit(stream_names)
        resumed_streams: dict[str, JoinedStream] = {}
        for name, cursor in resume.items():
            stream = self._streams[name]
            head = stream.cursor
            entry = stream.make_joined_stream(is_recovered=True, with_snapshot=snapshots_fit)
            replayed_count = await self._count_missed_events(name, cursor, head, topic_filter)
            if replayed_count is not None:
                resumed_streams[name] = msgspec.structs.replace(entry, replayed=replayed_count)
        # No await from here until every client that gets a snapshot is a receiver: it starts at the snapshot.
        self._subscribers[client] = Subscriber(topic_filter)
        joined_streams: dict[str, JoinedStream] = {}
        pending: dict[str, EventCursor | None] = {}
        for name in stream_names:
            if name in resumed_streams:
                pending[name], joined_streams[name] = resume[name], resumed_streams[name]
            else:
                joined_streams[name] = self._streams[name].make_joined_stream(
                    is_recovered=False, with_snapshot=snapshots_fit
                )
                if snapshots_fit:
                    self._start_receiving(client, name)
                else:
                    pending[name] = None
        client.send_identified_message(joined_streams)
        return pending

    async def catch_up_client(self, client: StreamClient, pending: Mapping[str, EventCursor | None]) -> None:
        """Send a client the events after its cursors as fast as it reads, then add it to the live streams.

        pending: what `accept_client` returned; a client gets a snapshot of a stream whose cursor is None.
        """
        for name, cursor in pending.items():
            if cursor is not None and not await self._replay_to_client(client, name, cursor):
                return
        for name in (name for name, cursor in pending.items() if cursor is None):
            if not await client.wait_until_drained():
                return
            # The snapshot is taken and the client added in one step, so no event is lost or sent twice.
            client.send_frames_exempt_from_limit(self._streams[name].encode_snapshot_frame())
            self._start_receiving(client, name)

    def replace_topic_filter(self, client: StreamClient, topic_filter: TopicFilter) -> None:
        """Replace the topic filter of a client, which then receives the events that `topic_filter` selects."""
        if (subscriber := self._subscribers.get(client)) is not None:
            for name in subscriber.streams:
                self._streams[name].remove_client(client, subscriber.topic_filter)
                self._streams[name].add_client(client, topic_filter)
            subscriber.topic_filter = topic_filter

    def remove_client(self, client: StreamClient) -> None:
        """Remove a disconnected client from all streams that it receives."""
        if (subscriber := self._subscribers.pop(client, None)) is not None:
            for name in subscriber.streams:
                self._streams[name].remove_client(client, subscriber.topic_filter)

    def send_heartbeats(self) -> None:
        """Send every client one heartbeat with all streams that it receives (without those it is still joining)."""
        frames: dict[frozenset[str], bytes] = {}
        for client, subscriber in list(self._subscribers.items()):
            names = subscriber.streams
            if not names:
                continue
            if names not in frames:
                entries = {name: self._streams[name].make_heartbeat() for name in sorted(names)}
                frames[names] = make_text_frame(encode_message("heartbeat", Heartbeat(entries)))
            client.send_frames_or_disconnect(frames[names])

    async def _count_missed_events(
        self, name: str, cursor: EventCursor, head: EventCursor, topic_filter: TopicFilter
    ) -> int | None:
        if cursor == head:
            return 0
        if (history := self._get_history()) is None:
            return None
        return await history.count_events_after(name, cursor, head, topic_filter)

    def _snapshots_fit(self, names: Iterable[str]) -> bool:
        """Return whether the snapshots of these streams together are small enough for one message."""
        bytes_left = self._max_piece_bytes
        for name in names:
            bytes_left -= len(self._streams[name].encode_snapshot_frame())
            if bytes_left < 0:
                return False
        return True

    @property
    def _max_piece_bytes(self) -> int:
        """The size up to which data that can wait is sent at once."""
        return self._settings.max_queue_bytes // 4

    async def _replay_to_client(self, client: StreamClient, name: str, cursor: EventCursor) -> bool:
        """Replay a stream up to its head, and in the same step add the client to its receivers; false on failure."""
        stream = self._streams[name]
        while cursor != (head := stream.cursor):
            history = self._get_history()
            rows = await history.read_events_after(name, cursor, head) if history is not None else None
            if rows is None:
                client.start_closing_handshake(CloseCode.INSUFFICIENT_STATE, "history was overtaken; reconnect")
                return False
            if (subscriber := self._subscribers.get(client)) is None:
                return False
            for piece in _join_frames(rows, subscriber.topic_filter, self._max_piece_bytes):
                client.send_frames_exempt_from_limit(piece)
                if not await client.wait_until_drained():
                    return False
            cursor = EventCursor(rows[-1].epoch, rows[-1].offset) if rows else head
        self._start_receiving(client, name)
        return True

    def _start_receiving(self, client: StreamClient, name: str) -> None:
        if (subscriber := self._subscribers.get(client)) is not None:  # it may have left during the join
            self._streams[name].add_client(client, subscriber.topic_filter)
            subscriber.streams |= {name}


def _join_frames(rows: Iterable[StoredEvent], topic_filter: TopicFilter, limit_bytes: int) -> Iterator[bytes]:
    """Yield the frames of the wanted events, joined up to about a limit: a replay must not fill a client's queue."""
    piece = bytearray()
    for row in rows:
        if topic_filter.matches_event(topic_of_type(row.type), row.type):
            piece += make_text_frame(encode_event_message(row.json.encode()))
        if len(piece) > limit_bytes:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
