"""Who listens to which streams, and how a client comes to hear them.

A client starts in each stream in one of two ways, and in both the step that finishes its start also puts it among the
listeners, so that no event is lost and none comes twice:

- It resumes: events after its cursor are read from the history, piece by piece, until the head is reached.
- It gets a snapshot. Small ones are inside `identified`. Where they do not fit, each is a message of its own, taken at
  the moment it is sent; before that, the client hears nothing of the stream, because the snapshot will include it.

Pieces and snapshots are sent only as fast as the client reads: whoever asks for much waits longer and costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from streamseg.history.reader import HistoryPosition, HistoryReader, StoredEvent
from streamseg.server.stream import ServedStream, StreamClient
from streamseg.settings import ServerSettings
from streamseg.wire import frames as wire_frames
from streamseg.wire import messages as m
from streamseg.wire.codes import CloseCode
from streamseg.wire.events import topic_of_type
from streamseg.wire.topics import TopicFilter


class Subscriber(msgspec.Struct):
    """What a client wants to hear, and the streams that it hears already."""

    topic_filter: TopicFilter
    streams: frozenset[str] = frozenset()


class Subscribers:
    """All clients that are in."""

    def __init__(
        self, streams: Mapping[str, ServedStream], settings: ServerSettings, replay: Callable[[], HistoryReader | None]
    ) -> None:
        """streams: by name, the hub's own. replay: gives the reader of the history, None where there is none."""
        self._streams = streams
        self._settings = settings
        self._replay = replay
        self._subscribers: dict[StreamClient, Subscriber] = {}

    async def add_client(
        self,
        listener: StreamClient,
        topic_filter: TopicFilter,
        names: Sequence[str],
        resume: Mapping[str, m.EventCursor],
    ) -> dict[str, HistoryPosition | None]:
        """Let a client in and tell it where it stands in each stream.

        Returns the streams that it does not hear yet, to be given to `bring_up`: with the cursor to replay from, or
        with None where it needs a snapshot that did not fit into what it was told.
        """
        fit = self._can_send_snapshots(names)
        plans: dict[str, tuple[HistoryPosition, m.JoinedStream]] = {}
        for name, cursor in resume.items():
            stream = self._streams[name]
            before, head = (cursor.epoch, cursor.offset), stream.cursor
            joined = stream.make_joined(recovered=True, with_snapshot=fit)
            missed = await self._count_missed(name, before, head, topic_filter)
            if missed is not None:
                plans[name] = before, msgspec.structs.replace(joined, replayed=missed)
        # No await from here until everybody who was told a snapshot listens: the snapshot is where they start.
        self._subscribers[listener] = Subscriber(topic_filter)
        welcome: dict[str, m.JoinedStream] = {}
        behind: dict[str, HistoryPosition | None] = {}
        for name in names:
            if name in plans:
                behind[name], welcome[name] = plans[name]
            else:
                welcome[name] = self._streams[name].make_joined(recovered=False, with_snapshot=fit)
                if fit:
                    self._subscribe(listener, name)
                else:
                    behind[name] = None
        listener.send_identified(welcome)
        return behind

    async def send_past(self, listener: StreamClient, behind: Mapping[str, HistoryPosition | None]) -> None:
        """Send a client what `join` left to be sent, at the pace at which it reads; then it hears these streams too."""
        for name, cursor in behind.items():
            if cursor is not None and not await self._replay_to_client(listener, name, cursor):
                return
        for name in (name for name, cursor in behind.items() if cursor is None):
            if not await listener.wait_until_drained():
                return
            # The snapshot is taken and the stream listened to in one step, so no event is lost or comes twice.
            listener.send_piece(self._streams[name].snapshot_frame())
            self._subscribe(listener, name)

    def change_subscription(self, listener: StreamClient, topic_filter: TopicFilter) -> None:
        """The client wants to hear something else from here on."""
        if (member := self._subscribers.get(listener)) is not None:
            for name in member.streams:
                self._streams[name].remove_client(listener, member.topic_filter)
                self._streams[name].add_client(listener, topic_filter)
            member.topic_filter = topic_filter

    def remove_client(self, listener: StreamClient) -> None:
        """The client is gone."""
        if (member := self._subscribers.pop(listener, None)) is not None:
            for name in member.streams:
                self._streams[name].remove_client(listener, member.topic_filter)

    def send_heartbeats(self) -> None:
        """Tell every listener how far its streams are. Those still catching up hear of it when they have."""
        frames: dict[frozenset[str], bytes] = {}
        for listener, member in list(self._subscribers.items()):
            names = member.streams
            if not names:
                continue
            if names not in frames:
                beats = {name: self._streams[name].make_heartbeat() for name in sorted(names)}
                frames[names] = wire_frames.make_text_frame(wire_frames.encode_message("heartbeat", m.Heartbeat(beats)))
            listener.send(frames[names])

    async def _count_missed(
        self, name: str, before: HistoryPosition, head: HistoryPosition, topic_filter: TopicFilter
    ) -> int | None:
        if before == head:
            return 0
        if (replay := self._replay()) is None:
            return None
        return await replay.count_recoverable(name, before, head, topic_filter)

    def _can_send_snapshots(self, names: Iterable[str]) -> bool:
        """Whether the snapshots of these streams together are small enough for one message."""
        left = self._max_piece_bytes
        for name in names:
            left -= len(self._streams[name].snapshot_frame())
            if left < 0:
                return False
        return True

    @property
    def _max_piece_bytes(self) -> int:
        """What a client is sent at once of what can wait."""
        return self._settings.max_queue_bytes // 4

    async def _replay_to_client(self, listener: StreamClient, name: str, cursor: HistoryPosition) -> bool:
        """Replay a stream until its head, then listen to it, in one step, so nothing falls between or comes twice."""
        stream = self._streams[name]
        while cursor != (head := stream.cursor):
            replay = self._replay()
            rows = await replay.read_after(name, cursor, head) if replay is not None else None
            if rows is None:
                listener.close_connection(CloseCode.INSUFFICIENT_STATE, "history was overtaken; reconnect")
                return False
            if (member := self._subscribers.get(listener)) is None:
                return False
            for piece in _join_frames(rows, member.topic_filter, self._max_piece_bytes):
                listener.send_piece(piece)
                if not await listener.wait_until_drained():
                    return False
            cursor = (rows[-1].epoch, rows[-1].offset) if rows else head
        self._subscribe(listener, name)
        return True

    def _subscribe(self, listener: StreamClient, name: str) -> None:
        if (member := self._subscribers.get(listener)) is not None:  # it may have left meanwhile
            self._streams[name].add_client(listener, member.topic_filter)
            member.streams |= {name}


def _join_frames(rows: Iterable[StoredEvent], topic_filter: TopicFilter, limit_bytes: int) -> Iterator[bytes]:
    """The frames of what is wanted, joined up to about a limit: a replay must not fill a client's queue."""
    gathered = bytearray()
    for row in rows:
        if topic_filter.wants_event(topic_of_type(row.type), row.type):
            gathered += wire_frames.make_text_frame(wire_frames.encode_event_message(row.json.encode()))
        if len(gathered) > limit_bytes:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
