"""Serves a hub on a port: the WebSocket at `/ws`, and the page, the status and the metrics over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from ulid import ULID
from websockets.asyncio.server import Server as SocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_sockets
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from streamseg.errors import PortInUseError, ServerError
from streamseg.server import protocol
from streamseg.server.access_tokens import AccessTokens, make_tokens_for_address
from streamseg.server.connection import ClientConnection
from streamseg.server.file_descriptors import make_room_for_sockets
from streamseg.server.http import HttpBody, HttpPages, make_refusal
from streamseg.server.hub import Hub
from streamseg.server.limits import EXTRA_SOCKETS, ConnectionLimiter, address_group, make_limited_connection_class
from streamseg.server.listening_sockets import bind_listeners, loop_calls_accept, suppress_accept_tracebacks
from streamseg.server.metrics import HubMetrics
from streamseg.wire import messages as m
from streamseg.wire import token_proof
from streamseg.wire.printable import make_printable  # a path may be no UTF-8, which JSON must be
from streamseg.wire.schemas import make_asyncapi_document, make_event_schemas

PAGE_FOLDER = Path(__file__).parents[1] / "page"


class Server:
    """The running server that `serve` yields: serves WebSocket clients, and makes the bodies of HTTP responses.

    port: the one that it listens on, even where 0 was requested. secure: whether it uses TLS. max_clients: how many may
    be connected at the same time.
    """

    def __init__(self, hub: Hub, tokens: AccessTokens, host: str, *, secure: bool) -> None:
        self.hub = hub
        self.host = host
        self.port = 0
        self.secure = secure
        self.metrics = HubMetrics(hub, lambda: [client.queue_bytes for client in self.clients])
        self.clients: set[ClientConnection] = set()
        self.max_clients = hub.settings.max_connections
        self._tokens = tokens
        self._clients_by_address: Counter[str] = Counter()

    def make_status(self, role: m.Role) -> dict[str, Any]:
        """Return the content of `/status`; paths of this machine are included only for the role `control`."""
        may_control = role == "control"
        history: dict[str, Any] = {"kept": self.hub.has_history, "failure": self.hub.failure}
        if may_control:
            history["path"] = make_printable(str(path)) if (path := self.hub.history_path) else None
        return {
            "server": m.SERVER_NAME,
            "clients": len(self.clients),
            "history": history,
            "streams": {
                name: {
                    **stream.make_status(),
                    **({"source": make_printable(stream.source or "")} if may_control else {}),
                }
                for name, stream in self.hub.streams.items()
            },
        }

    def make_health_body(self) -> HttpBody:
        """Return the body of `/healthz`, which says whether the history can be written."""
        content = b"ok\n" if self.hub.failure is None else b"ok, but history fails\n"
        return HttpBody("text/plain; charset=utf-8", content)

    def make_asyncapi_body(self) -> HttpBody:
        """Return the body of `/asyncapi.json`: the AsyncAPI document with this server's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return _json_body(_encode_asyncapi(f"{host}:{self.port}", secure=self.secure))

    def make_hello(self) -> m.Hello:
        """Make `hello`, the first message to a client, with a new challenge for its token proof."""
        settings = self.hub.settings
        return m.Hello(
            server=m.SERVER_NAME,
            protocol=m.PROTOCOL_VERSION,
            min_protocol=m.PROTOCOL_VERSION,
            auth=m.AuthChallenge("hmac-sha256", token_proof.make_challenge()) if self._tokens.has_any_token else None,
            heartbeat_s=settings.heartbeat_s,
            max_queue_bytes=settings.max_queue_bytes,
            history=m.HistoryLimits(settings.history_events, settings.history_s)
            if self.hub.has_history
            else m.HistoryLimits(0, 0),
            streams=list(self.hub.streams),
        )

    def refuse_if_full(self, address: str) -> Response | None:
        """Return an HTTP error response if too many clients are connected, in total or from this address; else None."""
        settings = self.hub.settings
        if len(self.clients) >= self.max_clients:
            return make_refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients")
        if self._clients_by_address[address] >= settings.max_connections_per_address:
            return make_refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many connections from your address")
        return None

    async def serve_connection(self, connection: ServerConnection) -> None:
        """Serve the client of one connection until the connection ends. Called by `websockets` for each connection."""
        address = _client_address(connection)
        server_protocol = protocol.ServerProtocol(
            self.make_hello(), self._tokens, self.hub.settings, asyncio.get_running_loop().time()
        )
        client = ClientConnection(connection, server_protocol, self.hub, str(ULID()))
        self.clients.add(client)
        self._clients_by_address[address] += 1
        try:
            await client.serve_until_closed()
        finally:
            self.clients.discard(client)
            self._clients_by_address[address] -= 1
            if not self._clients_by_address[address]:
                del self._clients_by_address[address]

    async def run_heartbeats_and_stall_checks(self) -> None:
        """Until cancelled: every `heartbeat_s` seconds send heartbeats, and disconnect clients that stopped reading."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.hub.settings.heartbeat_s)
            self.hub.send_heartbeats()
            for client in tuple(self.clients):
                client.close_if_stalled(loop.time())


@contextlib.asynccontextmanager
async def serve(
    hub: Hub,
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    page_dir: Path = PAGE_FOLDER,
    read_token: str | None = None,
    control_token: str | None = None,
    origins: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    insecure: bool = False,
) -> AsyncIterator[Server]:
    """Serve a hub's streams over WebSocket and HTTP during an `async with` block; at its end send pending events.

    host: only a loopback address works without a token; any other needs TLS too, or `insecure`. port: 0 picks a free
    one. page_dir: the files of the web page. read_token, control_token: what a client must know to read, and to send
    control requests. origins: further pages that may connect (`https://example.org`). tls: None serves without TLS.
    Raises UsageError for an address that would be open to everybody, PortInUseError, or ServerError.
    """
    tokens = make_tokens_for_address(host, read_token, control_token, is_encrypted=tls is not None or insecure)
    server = Server(hub, tokens, host, secure=tls is not None)
    pages = _make_pages(server, tokens, page_dir, origins)

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | Coroutine[Any, Any, Response] | None:
        if connection.protocol.eof_sent:
            return _abort_connection(connection)
        if (refusal := pages.refuse_wrong_host_or_origin(request)) is not None:
            return refusal
        if request.path.partition("?")[0] != "/ws" or "Upgrade" not in request.headers:
            return pages.respond_to_request(request)
        return server.refuse_if_full(_client_address(connection))

    max_sockets = make_room_for_sockets(hub.settings.max_connections + EXTRA_SOCKETS, len(hub.streams))
    server.max_clients = min(hub.settings.max_connections, max_sockets - min(EXTRA_SOCKETS, max_sockets // 2))
    limiter = ConnectionLimiter(hub.settings, max_sockets)
    try:
        socket_servers = await _bind_servers(server, process_request, host, port, tls, limiter)
    except BaseException:
        limiter.close_spare_descriptor()
        raise
    server.port = next(iter(socket_servers[0].sockets)).getsockname()[1]
    try:
        await hub.open_history()
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(suppress_accept_tracebacks())
            for socket_server in socket_servers:
                await stack.enter_async_context(socket_server)
                await socket_server.start_serving()
            heartbeats = asyncio.create_task(server.run_heartbeats_and_stall_checks())
            try:
                yield server
            finally:
                await hub.flush_and_close_history()
                heartbeats.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await heartbeats
    finally:
        for socket_server in socket_servers:
            socket_server.close()
        limiter.close_spare_descriptor()
        await hub.flush_and_close_history()


def _make_pages(server: Server, tokens: AccessTokens, page_dir: Path, origins: Sequence[str]) -> HttpPages:
    return HttpPages(
        page_dir,
        tokens,
        origins,
        open_routes={
            "/healthz": server.make_health_body,
            "/asyncapi.json": server.make_asyncapi_body,
            **{path: functools.partial(_json_body, text) for path, text in make_event_schemas().items()},
        },
        guarded_routes={
            "/status": lambda role: _json_body(msgspec.json.encode(server.make_status(role))),
            "/metrics": lambda _: server.metrics.render(),
        },
    )


async def _bind_servers(
    server: Server, process_request: Any, host: str, port: int, tls: ssl.SSLContext | None, limiter: ConnectionLimiter
) -> list[SocketServer]:
    """Make a server for each address of the host; none is serving yet."""
    settings = server.hub.settings
    counts_on_accept = loop_calls_accept(asyncio.get_running_loop())
    connection_class = make_limited_connection_class(settings, None if counts_on_accept else limiter)
    try:
        return [
            await serve_sockets(
                server.serve_connection,
                sock=listener,
                ssl=tls,
                start_serving=False,
                process_request=process_request,
                select_subprotocol=_select_subprotocol,
                create_connection=connection_class,
                compression=None,
                server_header=None,
                open_timeout=settings.identify_timeout_s,
                ssl_handshake_timeout=settings.identify_timeout_s if tls is not None else None,
                max_size=settings.max_message_bytes,
                close_timeout=2,
            )
            for listener in await bind_listeners(host, port, limiter)
        ]
    except OSError as error:
        # Windows reports EACCES where another program, or the system, has the port for itself.
        if error.errno == errno.EADDRINUSE or (sys.platform == "win32" and error.errno == errno.EACCES):
            raise PortInUseError(
                f"port {port} on {host} is in use; choose another with --port (0 picks a free one)"
            ) from None
        raise ServerError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


async def _abort_connection(connection: ServerConnection) -> Response:
    """Abort a connection whose client has hung up: `websockets` would take the second end of file for a fault."""
    connection.transport.abort()
    await connection.wait_closed()
    return make_refusal(HTTPStatus.BAD_REQUEST, "hung up")


@functools.cache  # 30 ms of work, which any client can request without a token
def _encode_asyncapi(host: str, *, secure: bool) -> bytes:
    return msgspec.json.encode(make_asyncapi_document(host, secure=secure))


def _json_body(text: bytes) -> HttpBody:
    return HttpBody("application/json", text)


def _select_subprotocol(_: ServerConnection, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(m.SUBPROTOCOL) if m.SUBPROTOCOL in subprotocols else None


def _client_address(connection: ServerConnection) -> str:
    remote = connection.remote_address
    return address_group(remote[0]) if remote else ""
