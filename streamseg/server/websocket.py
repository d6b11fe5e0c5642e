"""The port: WebSocket at `/ws`, the page and the state beside it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import ipaddress
import logging
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

from streamseg.errors import AskedWrongly, PortInUse, ServerFailed
from streamseg.printable import printable  # a path that is no UTF-8 is no JSON either
from streamseg.server import messages as m
from streamseg.server import protocol, tokens
from streamseg.server.accepting import counts_connections, listening, without_accept_tracebacks
from streamseg.server.client import Client
from streamseg.server.descriptors import fit_connections
from streamseg.server.door import BESIDE, Door, household, visitor
from streamseg.server.hub import Hub
from streamseg.server.metrics import Measurements
from streamseg.server.pages import Body, Pages, refuse
from streamseg.server.schemas import asyncapi, json_schemas
from streamseg.server.tokens import Role, Tokens

_LONG_TOKEN = 16  # characters
PAGE = Path(__file__).parent / "page"

log = logging.getLogger(__name__)


class Server:
    """A running server. `port` is the real one when 0 was asked for."""

    def __init__(self, hub: Hub, allowed: Tokens, host: str, *, secure: bool) -> None:
        self.hub = hub
        self.host = host
        self.port = 0
        self.secure = secure
        self.measurements = Measurements(hub, lambda: [client.queue_bytes for client in self.clients])
        self.clients: set[Client] = set()
        self.most_clients = hub.settings.max_connections
        self._tokens = allowed
        self._addresses: Counter[str] = Counter()

    def status(self, role: Role) -> dict[str, Any]:
        """For `/status`; paths on this machine are told only to who may control."""
        told = role == "control"
        history: dict[str, Any] = {"kept": self.hub.keeps, "failure": self.hub.failure}
        if told:
            history["path"] = printable(str(path)) if (path := self.hub.history_path) else None
        return {
            "server": m.SERVER,
            "clients": len(self.clients),
            "history": history,
            "streams": {
                name: {**stream.state(), **({"source": printable(stream.source or "")} if told else {})}
                for name, stream in self.hub.streams.items()
            },
        }

    def health(self) -> Body:
        """For `/healthz`: that the event loop answers is the news; whether events are kept is said too."""
        return "text/plain; charset=utf-8", b"ok\n" if self.hub.failure is None else b"ok, but history fails\n"

    def asyncapi(self) -> Body:
        """For `/asyncapi.json`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return _as_json(_asyncapi_text(f"{host}:{self.port}", secure=self.secure))

    def hello(self) -> m.Hello:
        """The first word to a client, with a challenge of its own."""
        settings = self.hub.settings
        return m.Hello(
            server=m.SERVER,
            protocol=m.PROTOCOL,
            min_protocol=m.PROTOCOL,
            auth=m.Auth("hmac-sha256", tokens.challenge()) if self._tokens.any else None,
            heartbeat_s=settings.heartbeat_s,
            max_queue_bytes=settings.max_queue_bytes,
            history=m.Kept(settings.history_events, settings.history_s) if self.hub.keeps else m.Kept(0, 0),
            streams=list(self.hub.streams),
        )

    def room_for(self, address: str) -> Response | None:
        """None when another client of this address may come in; a refusal otherwise."""
        settings = self.hub.settings
        if len(self.clients) >= self.most_clients:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many clients")
        if self._addresses[address] >= settings.max_connections_per_address:
            return refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many connections from your address")
        return None

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one client from its first to its last message."""
        address = _address(connection)
        conversation = protocol.Connection(
            self.hello(), self._tokens, self.hub.settings, asyncio.get_running_loop().time()
        )
        client = Client(connection, conversation, self.hub, str(ULID()))
        self.clients.add(client)
        self._addresses[address] += 1
        try:
            await client.converse()
        finally:
            self.clients.discard(client)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    async def keep_time(self) -> None:
        """Heartbeats, and an eye on clients that stopped reading."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.hub.settings.heartbeat_s)
            self.hub.beat()
            for client in tuple(self.clients):
                client.look_after(loop.time())


@contextlib.asynccontextmanager
async def serve(
    hub: Hub,
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    page_dir: Path = PAGE,
    read_token: str | None = None,
    control_token: str | None = None,
    origins: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    insecure: bool = False,
) -> AsyncIterator[Server]:
    """Serve the hub's streams until the block is left; pending messages are sent before it ends.

    host: only a loopback address works without a token; any other needs TLS too, or `insecure`.
    port: 0 picks a free one. origins: further pages that may connect (`https://example.org`).
    Raises AskedWrongly for an address that would be open to strangers, PortInUse, or ServerFailed.
    """
    allowed = Tokens(read_token, control_token)
    if not _is_loopback(host):
        if not allowed.any:
            raise AskedWrongly(f"{host} can be reached from outside and needs a token; 127.0.0.1 needs none")
        if tls is None and not insecure:
            raise AskedWrongly(f"{host} can be reached from outside and needs TLS (certificate and key), or --insecure")
        allowed = allowed.guarded()
        if allowed.shortest < _LONG_TOKEN:
            log.warning("a token of fewer than %d characters can be guessed by strangers", _LONG_TOKEN)
    server = Server(hub, allowed, host, secure=tls is not None)
    pages = Pages(
        page_dir,
        allowed,
        origins,
        open_routes={
            "/healthz": server.health,
            "/asyncapi.json": server.asyncapi,
            **{path: functools.partial(_as_json, text) for path, text in json_schemas().items()},
        },
        guarded_routes={
            "/status": lambda role: _as_json(msgspec.json.encode(server.status(role))),
            "/metrics": lambda _: server.measurements.text(),
        },
    )

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | Coroutine[Any, Any, Response] | None:
        if connection.protocol.eof_sent:
            return _let_go(connection)
        if (refusal := pages.admits(request)) is not None:
            return refusal
        if request.path.partition("?")[0] != "/ws" or "Upgrade" not in request.headers:
            return pages.answer(request)
        return server.room_for(_address(connection))

    most = fit_connections(hub.settings.max_connections + BESIDE, len(hub.streams))
    server.most_clients = min(hub.settings.max_connections, most - min(BESIDE, most // 2))
    door = Door(hub.settings, most)
    try:
        bound = await _bind(server, process_request, host, port, tls, door)
    except BaseException:
        door.close()
        raise
    server.port = next(iter(bound[0].sockets)).getsockname()[1]
    try:
        await hub.open()
        async with contextlib.AsyncExitStack() as serving:
            serving.enter_context(without_accept_tracebacks())
            for sockets in bound:
                await serving.enter_async_context(sockets)
                await sockets.start_serving()
            clock = asyncio.create_task(server.keep_time())
            try:
                yield server
            finally:
                await hub.close()
                clock.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await clock
    finally:
        for sockets in bound:
            sockets.close()
        door.close()
        await hub.close()


async def _bind(
    server: Server, process_request: Any, host: str, port: int, tls: ssl.SSLContext | None, door: Door
) -> list[SocketServer]:
    """A server for each address of the host, not yet serving."""
    settings = server.hub.settings
    connection = visitor(settings, None if counts_connections(asyncio.get_running_loop()) else door)
    try:
        return [
            await serve_sockets(
                server.converse,
                sock=threshold,
                ssl=tls,
                start_serving=False,
                process_request=process_request,
                select_subprotocol=_select_subprotocol,
                create_connection=connection,
                compression=None,
                server_header=None,
                open_timeout=settings.identify_timeout_s,
                ssl_handshake_timeout=settings.identify_timeout_s if tls is not None else None,
                max_size=settings.max_message_bytes,
                close_timeout=2,
            )
            for threshold in await listening(host, port, door)
        ]
    except OSError as error:
        # Windows calls it a lack of permission where another program, or the system, has the port for itself.
        if error.errno == errno.EADDRINUSE or (sys.platform == "win32" and error.errno == errno.EACCES):
            raise PortInUse(
                f"port {port} on {host} is in use; choose another with --port (0 picks a free one)"
            ) from None
        raise ServerFailed(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


async def _let_go(connection: ServerConnection) -> Response:
    """A visitor that asked and hung up is not answered: `websockets` takes the second end of file for a fault."""
    connection.transport.abort()
    await connection.wait_closed()
    return refuse(HTTPStatus.BAD_REQUEST, "hung up")


@functools.cache  # thirty milliseconds of work, which anybody may ask for
def _asyncapi_text(where: str, *, secure: bool) -> bytes:
    return msgspec.json.encode(asyncapi(where, secure=secure))


def _as_json(text: bytes) -> Body:
    return "application/json", text


def _select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(m.SUBPROTOCOL) if m.SUBPROTOCOL in offered else None


def _address(connection: ServerConnection) -> str:
    remote = connection.remote_address
    return household(remote[0]) if remote else ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
