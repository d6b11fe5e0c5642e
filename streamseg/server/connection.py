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

from streamseg.errors import UsageError
from streamseg.server import protocol
from streamseg.server.hub import Hub
from streamseg.server.request_subjects import UnknownSubjectError
from streamseg.server.send_limit import SendLimit
from streamseg.wire import frames as wire_frames
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.codes import CloseCode, RequestErrorCode

_SYSTEM_QUEUE_BYTES = 131_072
_CLOSE_TIMEOUT_S = 5.0  # how long a client that was hung up on may take to read why


class ClientConnection:
    """A `Listener` behind a WebSocket."""

    def __init__(
        self, connection: ServerConnection, conversation: protocol.ServerProtocol, hub: Hub, session: str
    ) -> None:
        self._connection = connection
        self._protocol = conversation
        self._hub = hub
        self._session = session
        self._dropped_counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        # The system's own queue must not hide megabytes of what a client does not read.
        connection.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_QUEUE_BYTES
        )
        self._stall_watch = (0, 0.0)  # bytes waiting when last looked at, and since when none of them was read
        self._limit = SendLimit(hub.settings.max_queue_bytes)
        self._bringing_up: asyncio.Task[None] | None = None

    @property
    def queue_bytes(self) -> int:
        """Bytes that wait for the client to read."""
        return self._connection.transport.get_write_buffer_size()

    async def run_session(self) -> None:
        """Talk until one of both hangs up."""
        conversation, loop = self._protocol, self._loop
        expiry = loop.call_later(self._hub.settings.identify_timeout_s, self._close_if_unidentified)
        try:
            await self._perform(conversation.send_hello())
            async for text in self._connection:
                before = conversation.topic_filter
                actions = conversation.receive_message(text, loop.time())
                if conversation.topic_filter != before:
                    self._hub.audience.change_subscription(self, conversation.topic_filter)
                await self._perform(actions)
                if conversation.state is protocol.ProtocolState.CLOSED:
                    break  # whatever it said after that is not looked at
        except (ConnectionClosed, ConnectionError):
            pass  # however a client goes, it is gone
        finally:
            expiry.cancel()
            try:
                await self._end_bringing_up()
            finally:
                self._hub.audience.remove_client(self)

    def send(self, frames: bytes, piece_bytes: int = 0) -> None:
        """Send these frames, or hang up when too much waits already. piece_bytes: see `SendLimit`."""
        transport, limit = self._connection.transport, self._limit
        if self._connection.protocol.state is not SocketState.OPEN or transport.is_closing():
            return
        # Most clients read at once; for them nothing is counted.
        before = transport.get_write_buffer_size()
        if before or not limit.reset:
            limit.count_write(before, self._loop.time())
        transport.write(frames)
        after = transport.get_write_buffer_size()
        if (after or not limit.reset) and not limit.can_send(after, piece_bytes=piece_bytes):
            self.close_connection(CloseCode.SLOW, "too slow; reconnect and resume")

    def send_piece(self, frames: bytes) -> None:
        """Send frames that waited until little was left to send: they do not make the client a slow one."""
        self.send(frames, piece_bytes=len(frames))

    def send_high_volume(self, topic: str, n: int, frames: bytes) -> None:
        """Send n events of a topic, or count them as dropped when something waits already."""
        if self.queue_bytes > self._hub.settings.shed_queue_bytes:
            self._dropped_counts[topic] += n
            self._hub.dropped_events += n
            return
        for dropped_topic, count in self._dropped_counts.items():
            self.send(
                wire_frames.make_text_frame(wire_frames.encode_message("dropped", m.EventsDropped(missed, count)))
            )
        self._dropped_counts.clear()
        self.send(frames)

    def send_identified(self, streams: dict[str, m.JoinedStream]) -> None:
        """Say `identified`."""
        for action in self._protocol.send_identified(self._session, streams):
            if isinstance(action, protocol.SendText):
                self.send_piece(wire_frames.make_text_frame(action.text))

    async def wait_until_drained(self) -> bool:
        """Wait until little is left to send, and let others have their turn; false when the client is gone."""
        try:
            await self._connection.drain()
        except (ConnectionClosed, OSError):
            return False
        await asyncio.sleep(0)  # a client on a fast line never has to wait, and must not keep the loop for itself
        return self._connection.protocol.state is SocketState.OPEN

    def close_if_stalled(self, now: float) -> None:
        """Hang up on a client that has read nothing of what waits for it for too long."""
        waiting, since = self._stall_watch
        if self.queue_bytes == 0 or self.queue_bytes < waiting:
            since = now
        self._stall_watch = (self.queue_bytes, since or now)
        if self.queue_bytes and now - self._stall_watch[1] > self._hub.settings.stalled_s:
            self.close_connection(CloseCode.SLOW, "stalled; reconnect and resume")

    def close_connection(self, code: CloseCode, reason: str) -> None:
        """Say why, and cut the line when that is not read soon."""
        if self._connection.protocol.state is not SocketState.OPEN:
            return
        self._hub.slow_clients += code is CloseCode.SLOW
        self._connection.protocol.send_close(code, reason)
        self._connection.send_data()
        self._loop.call_later(_CLOSE_TIMEOUT_S, self._connection.transport.abort)

    async def _perform(self, actions: list[protocol.ProtocolAction]) -> None:
        for action in actions:
            match action:
                case protocol.SendText(text=text):
                    self.send_piece(wire_frames.make_text_frame(text))
                case protocol.CloseConnection(code=code, reason=reason):
                    self.close_connection(code, reason)
                case protocol.JoinStreams() as let_in:
                    audience = self._hub.audience
                    behind = await audience.add_client(self, let_in.topic_filter, let_in.streams, let_in.resume)
                    if behind:
                        self._bringing_up = self._loop.create_task(audience.send_past(self, behind))
                        self._bringing_up.add_done_callback(self._brought_up)
                case protocol.HandleRequest(id=id, request=request):
                    await self._perform(await self._answer_request(id, request))
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

    async def _answer_request(self, id: int | str, request: r.ClientRequest) -> list[protocol.ProtocolAction]:
        conversation = self._protocol
        match request:
            case r.SubscribeRequest() | r.UnsubscribeRequest():
                return conversation.send_response(
                    r.SubscribedResponse(id=id, subscribe=conversation.topic_filter.sorted_topics())
                )
            case r.SnapshotRequest(stream=name) if name in self._hub.streams:
                stream = self._hub.streams[name]
                return conversation.send_response(
                    r.SnapshotResponse(
                        id=id,
                        stream=name,
                        epoch=stream.epoch,
                        offset=stream.offset,
                        snapshot=stream.snapshot_builder.make_snapshot(),
                    )
                )
            case r.SnapshotRequest(stream=name):
                return conversation.send_error(id, RequestErrorCode.NOT_FOUND, f"no stream {name!r}")
            case r.HistoryRequest():
                past = await self._hub.read_history(id, request)
                if past is None:
                    why = f"no epoch {request.epoch!r} of a stream {request.stream!r} is kept"
                    return conversation.send_error(id, RequestErrorCode.NOT_FOUND, why)
                return conversation.send_response(past)
            case _:
                try:
                    self._hub.handle_control(request, conversation.client or self._session)
                except UnknownSubjectError as error:
                    return conversation.send_error(id, RequestErrorCode.NOT_FOUND, str(error))
                except UsageError as error:
                    return conversation.send_error(id, RequestErrorCode.FAILED, str(error))
                return conversation.send_response(_met(id, request))

    def _close_if_unidentified(self) -> None:
        for action in self._protocol.close_if_expired(self._loop.time()):
            if isinstance(action, protocol.CloseConnection):
                self.close_connection(action.code, action.reason)


def _met(id: int | str, request: r.ControlRequest) -> r.Response:
    """The answer to a control request that was taken."""
    if isinstance(request, r.SetRequest):
        return r.SetResponse(id=id, stream=request.stream, sensitivity=request.sensitivity)
    return r.Response(id=id)
