"""A relay with limited rate between a client and a server on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

_CHUNK_BYTES = 32_768
_BURST_S = 0.1  # how far the line may make up for a moment in which the machine was busy


@contextlib.asynccontextmanager
async def slow_line(port: int, bytes_per_s: float) -> AsyncIterator[int]:
    """Start a relay to `port` that sends at most bytes_per_s to each client, and return its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        sock = socket.socket()
        # What lies in the system's buffer beyond the server would have been carried too early.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _CHUNK_BYTES)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        from_server, to_server = await asyncio.open_connection(sock=sock, limit=_CHUNK_BYTES)
        up = asyncio.create_task(_carry_all(reader, to_server))
        try:
            with contextlib.suppress(ConnectionError):
                await _carry_slowly(from_server, writer, bytes_per_s)
        finally:
            up.cancel()
            for end in (writer, to_server):
                end.close()

    async with await asyncio.start_server(carry, "127.0.0.1", 0, limit=_CHUNK_BYTES) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in tuple(tasks):
                task.cancel()


async def _carry_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


async def _carry_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_per_s: float) -> None:
    loop = asyncio.get_running_loop()
    free = loop.time()  # when the line has carried everything so far
    while data := await reader.read(_CHUNK_BYTES):
        free = max(free, loop.time() - _BURST_S) + len(data) / bytes_per_s
        await asyncio.sleep(free - loop.time())
        writer.write(data)
        await writer.drain()
