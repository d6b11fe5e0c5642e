"""Serves one connected client: passes its messages to a `ServerProtocol` and performs the resulting actions.

A slow client must not affect the others. `websockets.broadcast` fills a buffer without bound for a client that stopped
reading, and its keepalive waits behind that buffer. So the buffer is measured before and after each write
(`SlowClientLimit`): first high-volume events are dropped, then the connection is closed.

A task of its own sends the events that a client missed, as fast as the client reads, so that its requests are answered
in the meantime.
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
from streamseg.server.label_alarm_registry import UnknownLabelOrAlarmError
from streamseg.server.slow_client_limit import SlowClientLimit
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.codes import CloseCode, RequestErrorCode
from streamseg.wire.frames import encode_message, make_text_frame

_SYSTEM_QUEUE_BYTES = 131_072
_CLOSE_TIMEOUT_S = 5.0  # for the client to read the close frame


class ClientConnection:
    """Serves one WebSocket client: passes its messages to the protocol, performs the resulting actions, sends events.

    connection: its WebSocket. server_protocol: new, for this client. session: id of this connection, shown to the
    client. Must be made on the event loop.
    """

    def __init__(
        self, connection: ServerConnection, server_protocol: protocol.ServerProtocol, hub: Hub, session: str
    ) -> None:
        self._connection = connection
        self._protocol = server_protocol
        self._hub = hub
        self._session = session
        self._dropped_counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        # The system's own queue must not hide megabytes that a client does not read.
        connection.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_QUEUE_BYTES
        )
        self._stalled_bytes = 0  # that waited at the last check
        self._stalled_since: float | None = None  # when the client last read any of them
        self._limit = SlowClientLimit(hub.settings.max_queue_bytes)
        self._catch_up_task: asyncio.Task[None] | None = None

    @property
    def queue_bytes(self) -> int:
        """The number of bytes that were written for this client but are not sent yet, because it reads slowly."""
        return self._connection.transport.get_write_buffer_size()

    async def serve_until_closed(self) -> None:
        """Send `hello` and answer the client's messages until the connection is closed; then remove it from the hub."""
        server_protocol, loop = self._protocol, self._loop
        expiry = loop.call_later(self._hub.settings.identify_timeout_s, self._close_if_unidentified)
        try:
            await self._perform(server_protocol.make_hello_actions())
            async for text in self._connection:
                before = server_protocol.topic_filter
                actions = server_protocol.receive_message(text, loop.time())
                if server_protocol.topic_filter != before:
                    self._hub.subscribers.replace_topic_filter(self, server_protocol.topic_filter)
                await self._perform(actions)
                if server_protocol.state is protocol.ProtocolState.CLOSED:
                    break  # what it sent after that is not read
        except (ConnectionClosed, ConnectionError):
            pass  # the client is gone
        finally:
            expiry.cancel()
            try:
                await self._stop_catch_up_task()
            finally:
                self._hub.subscribers.remove_client(self)

    def send_frames_or_disconnect(self, frames: bytes, exempt_bytes: int = 0) -> None:
        """Send WebSocket frames without waiting; close the connection if too many bytes then wait for the client.

        exempt_bytes: how many bytes of them do not count towards that limit (see `SlowClientLimit`).
        """
        transport, limit = self._connection.transport, self._limit
        if self._connection.protocol.state is not SocketState.OPEN or transport.is_closing():
            return
        # Most clients read at once; for them nothing needs to be counted.
        before = transport.get_write_buffer_size()
        if before or not limit.was_queue_empty_after_write:
            limit.record_before_write(before, self._loop.time())
        transport.write(frames)
        after = transport.get_write_buffer_size()
        if (after or not limit.was_queue_empty_after_write) and not limit.is_within_limit_after_write(
            after, exempt_bytes=exempt_bytes
        ):
            self.start_closing_handshake(CloseCode.SLOW, "too slow; reconnect and resume")

    def send_frames_exempt_from_limit(self, frames: bytes) -> None:
        """Send WebSocket frames that the slow-client limit does not count; call this only while few bytes wait."""
        self.send_frames_or_disconnect(frames, exempt_bytes=len(frames))

    def send_or_drop_high_volume_events(self, topic: str, event_count: int, frames: bytes) -> None:
        """Send high-volume events of a topic to the client; drop and count them if too many bytes wait for the client.

        event_count: how many events `frames` contains.
        """
        if self.queue_bytes > self._hub.settings.shed_queue_bytes:
            self._dropped_counts[topic] += event_count
            self._hub.dropped_events += event_count
            return
        for dropped_topic, count in self._dropped_counts.items():
            self.send_frames_or_disconnect(
                make_text_frame(encode_message("dropped", m.EventsDropped(dropped_topic, count)))
            )
        self._dropped_counts.clear()
        self.send_frames_or_disconnect(frames)

    def send_identified_message(self, joined_streams: dict[str, m.JoinedStream]) -> None:
        """Send the message `identified`: it tells the client that it is accepted and where it starts in each stream.

        joined_streams: by name, where the client starts in each.
        """
        for action in self._protocol.make_identified_actions(self._session, joined_streams):
            if isinstance(action, protocol.SendMessageAction):
                self.send_frames_exempt_from_limit(make_text_frame(action.text))

    async def wait_until_drained(self) -> bool:
        """Wait until the client has read most of the waiting bytes; return False if the client has disconnected."""
        try:
            await self._connection.drain()
        except (ConnectionClosed, OSError):
            return False
        await asyncio.sleep(0)  # `drain` never waits for a fast client, which must not occupy the loop
        return self._connection.protocol.state is SocketState.OPEN

    def close_if_stalled(self, now: float) -> None:
        """Close the connection if the client has read none of the waiting bytes for `stalled_s` seconds (a setting).

        Called regularly. now: time of the event loop.
        """
        queue_bytes = self.queue_bytes
        if self._stalled_since is None or queue_bytes == 0 or queue_bytes < self._stalled_bytes:
            self._stalled_since = now
        self._stalled_bytes = queue_bytes
        if queue_bytes and now - self._stalled_since > self._hub.settings.stalled_s:
            self.start_closing_handshake(CloseCode.SLOW, "stalled; reconnect and resume")

    def start_closing_handshake(self, code: CloseCode, reason: str) -> None:
        """Send a close frame with this code and reason; abort the connection if the client does not answer in 5 s."""
        if self._connection.protocol.state is not SocketState.OPEN:
            return
        self._hub.slow_clients += code is CloseCode.SLOW
        self._connection.protocol.send_close(code, reason)
        self._connection.send_data()
        self._loop.call_later(_CLOSE_TIMEOUT_S, self._connection.transport.abort)

    async def _perform(self, actions: list[protocol.ProtocolAction]) -> None:
        for action in actions:
            match action:
                case protocol.SendMessageAction(text=text):
                    self.send_frames_exempt_from_limit(make_text_frame(text))
                case protocol.CloseConnectionAction(code=code, reason=reason):
                    self.start_closing_handshake(code, reason)
                case protocol.JoinStreamsAction() as join:
                    subscribers = self._hub.subscribers
                    pending = await subscribers.accept_client(self, join.topic_filter, join.streams, join.resume)
                    if pending:
                        self._catch_up_task = self._loop.create_task(subscribers.catch_up_client(self, pending))
                        self._catch_up_task.add_done_callback(self._abort_if_failed)
                case protocol.HandleRequestAction(id=id, request=request):
                    await self._perform(await self._answer_request(id, request))
        await self._connection.drain()

    def _abort_if_failed(self, task: asyncio.Task[None]) -> None:
        """Abort the connection when the missed events cannot be sent: the client would wait for ever."""
        if not task.cancelled() and task.exception() is not None:
            self._connection.transport.abort()

    async def _stop_catch_up_task(self) -> None:
        """Stop sending missed events. Raises the exception of that task, if it failed."""
        if self._catch_up_task is not None:
            self._catch_up_task.cancel()
            await asyncio.wait([self._catch_up_task])
            if not self._catch_up_task.cancelled():
                self._catch_up_task.result()

    async def _answer_request(self, id: int | str, request: r.ClientRequest) -> list[protocol.ProtocolAction]:
        server_protocol = self._protocol
        match request:
            case r.SubscribeRequest() | r.UnsubscribeRequest():
                return server_protocol.make_response_actions(
                    r.SubscribedResponse(id=id, subscribe=server_protocol.topic_filter.sorted_topics())
                )
            case r.SnapshotRequest(stream=name) if name in self._hub.streams:
                stream = self._hub.streams[name]
                return server_protocol.make_response_actions(
                    r.SnapshotResponse(
                        id=id,
                        stream=name,
                        epoch=stream.epoch,
                        offset=stream.offset,
                        snapshot=stream.snapshot_builder.make_snapshot(),
                    )
                )
            case r.SnapshotRequest(stream=name):
                return server_protocol.make_error_actions(id, RequestErrorCode.NOT_FOUND, f"no stream {name!r}")
            case r.HistoryRequest():
                response = await self._hub.make_history_response(id, request)
                if response is None:
                    why = f"no epoch {request.epoch!r} of a stream {request.stream!r} is kept"
                    return server_protocol.make_error_actions(id, RequestErrorCode.NOT_FOUND, why)
                return server_protocol.make_response_actions(response)
            case _:
                try:
                    self._hub.execute_control_request(request, server_protocol.client or self._session)
                except UnknownLabelOrAlarmError as error:
                    return server_protocol.make_error_actions(id, RequestErrorCode.NOT_FOUND, str(error))
                except UsageError as error:
                    return server_protocol.make_error_actions(id, RequestErrorCode.FAILED, str(error))
                return server_protocol.make_response_actions(_make_control_response(id, request))

    def _close_if_unidentified(self) -> None:
        for action in self._protocol.make_identify_timeout_actions(self._loop.time()):
            if isinstance(action, protocol.CloseConnectionAction):
                self.start_closing_handshake(action.code, action.reason)


def _make_control_response(id: int | str, request: r.ControlRequest) -> r.Response:
    """Make the response to a control request that the stream accepted."""
    if isinstance(request, r.SetSensitivityRequest):
        return r.SetSensitivityResponse(id=id, stream=request.stream, sensitivity=request.sensitivity)
    return r.Response(id=id)
