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

from streamseg.events import topic
from streamseg.server import messages as m
from streamseg.server.interest import Interest
from streamseg.server.replay import Kept, Place, Replay
from streamseg.server.stream import Listener, Stream
from streamseg.settings import ServerSettings


class Member(msgspec.Struct):
    """What a client wants to hear, and the streams that it hears already."""

    interest: Interest
    streams: frozenset[str] = frozenset()


class Audience:
    """All clients that are in."""

    def __init__(
        self, streams: Mapping[str, Stream], settings: ServerSettings, replay: Callable[[], Replay | None]
    ) -> None:
        """streams: by name, the hub's own. replay: gives the reader of the history, None where there is none."""
        self._streams = streams
        self._settings = settings
        self._replay = replay
        self._members: dict[Listener, Member] = {}

    async def join(
        self, listener: Listener, interest: Interest, names: Sequence[str], resume: Mapping[str, m.Cursor]
    ) -> dict[str, Place | None]:
        """Let a client in and tell it where it stands in each stream.

        Returns the streams that it does not hear yet, to be given to `bring_up`: with the cursor to replay from, or
        with None where it needs a snapshot that did not fit into what it was told.
        """
        fit = self._snapshots_fit(names)
        plans: dict[str, tuple[Place, m.Joined]] = {}
        for name, cursor in resume.items():
            stream = self._streams[name]
            before, head = (cursor.epoch, cursor.offset), stream.head
            joined = stream.joined(recovered=True, with_snapshot=fit)
            missed = await self._missed(name, before, head, interest)
            if missed is not None:
                plans[name] = before, msgspec.structs.replace(joined, replayed=missed)
        # No await from here until everybody who was told a snapshot listens: the snapshot is where they start.
        self._members[listener] = Member(interest)
        welcome: dict[str, m.Joined] = {}
        behind: dict[str, Place | None] = {}
        for name in names:
            if name in plans:
                behind[name], welcome[name] = plans[name]
            else:
                welcome[name] = self._streams[name].joined(recovered=False, with_snapshot=fit)
                if fit:
                    self._listen(listener, name)
                else:
                    behind[name] = None
        listener.joined(welcome)
        return behind

    async def bring_up(self, listener: Listener, behind: Mapping[str, Place | None]) -> None:
        """Send a client what `join` left to be sent, at the pace at which it reads; then it hears these streams too."""
        for name, cursor in behind.items():
            if cursor is not None and not await self._catch_up(listener, name, cursor):
                return
        for name in (name for name, cursor in behind.items() if cursor is None):
            if not await listener.drained():
                return
            # The snapshot is taken and the stream listened to in one step, so no event is lost or comes twice.
            listener.send_piece(self._streams[name].snapshot_frame())
            self._listen(listener, name)

    def change(self, listener: Listener, interest: Interest) -> None:
        """The client wants to hear something else from here on."""
        if (member := self._members.get(listener)) is not None:
            for name in member.streams:
                self._streams[name].leave(listener, member.interest)
                self._streams[name].listen(listener, interest)
            member.interest = interest

    def leave(self, listener: Listener) -> None:
        """The client is gone."""
        if (member := self._members.pop(listener, None)) is not None:
            for name in member.streams:
                self._streams[name].leave(listener, member.interest)

    def beat(self) -> None:
        """Tell every listener how far its streams are. Those still catching up hear of it when they have."""
        frames: dict[frozenset[str], bytes] = {}
        for listener, member in list(self._members.items()):
            names = member.streams
            if not names:
                continue
            if names not in frames:
                beats = {name: self._streams[name].beat() for name in sorted(names)}
                frames[names] = m.text_frame(m.message("heartbeat", m.Heartbeat(beats)))
            listener.send(frames[names])

    async def _missed(self, name: str, before: Place, head: Place, interest: Interest) -> int | None:
        if before == head:
            return 0
        if (replay := self._replay()) is None:
            return None
        return await replay.recoverable(name, before, head, interest)

    def _snapshots_fit(self, names: Iterable[str]) -> bool:
        """Whether the snapshots of these streams together are small enough for one message."""
        left = self._piece_bytes
        for name in names:
            left -= len(self._streams[name].snapshot_frame())
            if left < 0:
                return False
        return True

    @property
    def _piece_bytes(self) -> int:
        """What a client is sent at once of what can wait."""
        return self._settings.max_queue_bytes // 4

    async def _catch_up(self, listener: Listener, name: str, cursor: Place) -> bool:
        """Replay a stream until its head, then listen to it, in one step, so nothing falls between or comes twice."""
        stream = self._streams[name]
        while cursor != (head := stream.head):
            replay = self._replay()
            rows = await replay.after(name, cursor, head) if replay is not None else None
            if rows is None:
                listener.hang_up(m.CloseCode.INSUFFICIENT_STATE, "history was overtaken; reconnect")
                return False
            if (member := self._members.get(listener)) is None:
                return False
            for piece in _pieces(rows, member.interest, self._piece_bytes):
                listener.send_piece(piece)
                if not await listener.drained():
                    return False
            cursor = (rows[-1].epoch, rows[-1].offset) if rows else head
        self._listen(listener, name)
        return True

    def _listen(self, listener: Listener, name: str) -> None:
        if (member := self._members.get(listener)) is not None:  # it may have left meanwhile
            self._streams[name].listen(listener, member.interest)
            member.streams |= {name}


def _pieces(rows: Iterable[Kept], interest: Interest, limit_bytes: int) -> Iterator[bytes]:
    """The frames of what is wanted, joined up to about a limit: a replay must not fill a client's queue."""
    gathered = bytearray()
    for row in rows:
        if interest.wants(topic(row.type), row.type):
            gathered += m.text_frame(m.event_message(row.json.encode()))
        if len(gathered) > limit_bytes:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
