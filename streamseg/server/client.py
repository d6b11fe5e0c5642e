"""One connected client: the conversation on one side, its socket on the other.

A slow client must cost the others nothing. `websockets.broadcast` fills a buffer without end for a client that
stopped reading, and its keepalive waits behind that very buffer; so the buffer itself is looked at before and
after each write (`SendLimit`), high-volume events go first, then the client.

What a client missed is sent by a task of its own, at the pace at which the client reads, so that its requests are
answered meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State as SocketState

from streamseg.errors import AskedWrongly
from streamseg.server import messages as m
from streamseg.server import protocol
from streamseg.server.hub import Hub
from streamseg.server.send_limit import SendLimit
from streamseg.server.subjects import UnknownSubject

_SYSTEM_QUEUE_BYTES = 131_072
_LAST_WORD_S = 5.0  # how long a client that was hung up on may take to read why


class Client:
    """A `Listener` behind a WebSocket."""

    def __init__(self, connection: ServerConnection, conversation: protocol.Connection, hub: Hub, session: str) -> None:
        self._connection = connection
        self._conversation = conversation
        self._hub = hub
        self._session = session
        self._dropped: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        # The system's own queue must not hide megabytes of what a client does not read.
        connection.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_QUEUE_BYTES
        )
        self._waiting = (0, 0.0)  # bytes waiting when last looked at, and since when none of them was read
        self._limit = SendLimit(hub.settings.max_queue_bytes)
        self._bringing_up: asyncio.Task[None] | None = None

    @property
    def queue_bytes(self) -> int:
        """Bytes that wait for the client to read."""
        return self._connection.transport.get_write_buffer_size()

    async def converse(self) -> None:
        """Talk until one of both hangs up."""
        conversation, loop = self._conversation, self._loop
        expiry = loop.call_later(self._hub.settings.identify_timeout_s, self._expire)
        try:
            await self._act(conversation.greet())
            async for text in self._connection:
                before = conversation.interest
                actions = conversation.receive(text, loop.time())
                if conversation.interest != before:
                    self._hub.audience.change(self, conversation.interest)
                await self._act(actions)
                if conversation.state is protocol.State.CLOSED:
                    break  # whatever it said after that is not looked at
        except (ConnectionClosed, ConnectionError):
            pass  # however a client goes, it is gone
        finally:
            expiry.cancel()
            try:
                await self._end_bringing_up()
            finally:
                self._hub.audience.leave(self)

    def send(self, frames: bytes, piece_bytes: int = 0) -> None:
        """Send these frames, or hang up when too much waits already. piece_bytes: see `SendLimit`."""
        transport, limit = self._connection.transport, self._limit
        if self._connection.protocol.state is not SocketState.OPEN or transport.is_closing():
            return
        # Most clients read at once; for them nothing is counted.
        before = transport.get_write_buffer_size()
        if before or not limit.idle:
            limit.before_write(before, self._loop.time())
        transport.write(frames)
        after = transport.get_write_buffer_size()
        if (after or not limit.idle) and not limit.allows(after, piece_bytes=piece_bytes):
            self.hang_up(m.CloseCode.SLOW, "too slow; reconnect and resume")

    def send_piece(self, frames: bytes) -> None:
        """Send frames that waited until little was left to send: they do not make the client a slow one."""
        self.send(frames, piece_bytes=len(frames))

    def send_high_volume(self, topic: str, n: int, frames: bytes) -> None:
        """Send n events of a topic, or count them as dropped when something waits already."""
        if self.queue_bytes > self._hub.settings.shed_queue_bytes:
            self._dropped[topic] += n
            self._hub.shed_events += n
            return
        for missed, count in self._dropped.items():
            self.send(m.text_frame(m.message("dropped", m.Dropped(missed, count))))
        self._dropped.clear()
        self.send(frames)

    def joined(self, streams: dict[str, m.Joined]) -> None:
        """Say `identified`."""
        for action in self._conversation.identified(self._session, streams):
            if isinstance(action, protocol.Send):
                self.send_piece(m.text_frame(action.text))

    async def drained(self) -> bool:
        """Wait until little is left to send, and let others have their turn; false when the client is gone."""
        try:
            await self._connection.drain()
        except (ConnectionClosed, OSError):
            return False
        await asyncio.sleep(0)  # a client on a fast line never has to wait, and must not keep the loop for itself
        return self._connection.protocol.state is SocketState.OPEN

    def look_after(self, now: float) -> None:
        """Hang up on a client that has read nothing of what waits for it for too long."""
        waiting, since = self._waiting
        if self.queue_bytes == 0 or self.queue_bytes < waiting:
            since = now
        self._waiting = (self.queue_bytes, since or now)
        if self.queue_bytes and now - self._waiting[1] > self._hub.settings.stalled_s:
            self.hang_up(m.CloseCode.SLOW, "stalled; reconnect and resume")

    def hang_up(self, code: m.CloseCode, reason: str) -> None:
        """Say why, and cut the line when that is not read soon."""
        if self._connection.protocol.state is not SocketState.OPEN:
            return
        self._hub.slow_clients += code is m.CloseCode.SLOW
        self._connection.protocol.send_close(code, reason)
        self._connection.send_data()
        self._loop.call_later(_LAST_WORD_S, self._connection.transport.abort)

    async def _act(self, actions: list[protocol.Action]) -> None:
        for action in actions:
            match action:
                case protocol.Send(text=text):
                    self.send_piece(m.text_frame(text))
                case protocol.Close(code=code, reason=reason):
                    self.hang_up(code, reason)
                case protocol.LetIn() as let_in:
                    audience = self._hub.audience
                    behind = await audience.join(self, let_in.interest, let_in.streams, let_in.resume)
                    if behind:
                        self._bringing_up = self._loop.create_task(audience.bring_up(self, behind))
                        self._bringing_up.add_done_callback(self._brought_up)
                case protocol.Meet(id=id, request=request):
                    await self._act(await self._meet(id, request))
        await self._connection.drain()

    def _brought_up(self, task: asyncio.Task[None]) -> None:
        """A client that can no longer be brought up must come back: it would wait for ever."""
        if not task.cancelled() and task.exception() is not None:
            self._connection.transport.abort()

    async def _end_bringing_up(self) -> None:
        """Stop sending what the client missed. Raises what went wrong there."""
        if self._bringing_up is not None:
            self._bringing_up.cancel()
            await asyncio.wait([self._bringing_up])
            if not self._bringing_up.cancelled():
                self._bringing_up.result()

    async def _meet(self, id: int | str, request: m.Request) -> list[protocol.Action]:
        conversation = self._conversation
        match request:
            case m.Subscribe() | m.Unsubscribe():
                return conversation.respond(m.Subscribed(id=id, subscribe=conversation.interest.sorted()))
            case m.SnapshotRequest(stream=name) if name in self._hub.streams:
                stream = self._hub.streams[name]
                return conversation.respond(
                    m.SnapshotAnswer(
                        id=id,
                        stream=name,
                        epoch=stream.epoch,
                        offset=stream.offset,
                        snapshot=stream.fold.snapshot(),
                    )
                )
            case m.SnapshotRequest(stream=name):
                return conversation.refuse(id, m.Refusal.NOT_FOUND, f"no stream {name!r}")
            case m.HistoryRequest():
                past = await self._hub.past(id, request)
                if past is None:
                    why = f"no epoch {request.epoch!r} of a stream {request.stream!r} is kept"
                    return conversation.refuse(id, m.Refusal.NOT_FOUND, why)
                return conversation.respond(past)
            case _:
                try:
                    self._hub.control(request, conversation.client or self._session)
                except UnknownSubject as error:
                    return conversation.refuse(id, m.Refusal.NOT_FOUND, str(error))
                except AskedWrongly as error:
                    return conversation.refuse(id, m.Refusal.FAILED, str(error))
                return conversation.respond(_met(id, request))

    def _expire(self) -> None:
        for action in self._conversation.expire(self._loop.time()):
            if isinstance(action, protocol.Close):
                self.hang_up(action.code, action.reason)


def _met(id: int | str, request: m.Control) -> m.Answer:
    """The answer to a control request that was taken."""
    if isinstance(request, m.Set):
        return m.SetAnswer(id=id, stream=request.stream, sensitivity=request.sensitivity)
    return m.Answer(id=id)
