"""A client that uses only the documented protocol, for tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamseg.wire import token_proof


class Listener:
    """One WebSocket connection, whose messages are written and read as plain JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.hello: dict[str, Any] = {}
        self.identified: dict[str, Any] = {}

    async def hear(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Receive the next message."""
        async with asyncio.timeout(timeout_s):
            return json.loads(await self.connection.recv())

    async def wait_for_message(self, op: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Receive the next message with this op; others are skipped and do not prolong the wait."""
        others: Counter[str] = Counter()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    message = json.loads(await self.connection.recv())
                    if message["op"] == op:
                        return message
                    others[message["op"]] += 1
        except TimeoutError:
            raise TimeoutError(f"no message {op!r} came within {timeout_s} s, but {dict(others)}") from None

    async def wait_for(self, op: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Return the `d` of the next message with this op; see `wait_for_message`."""
        return (await self.wait_for_message(op, timeout_s))["d"]

    async def events(self, n: int, timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """Receive the next n events; timeout_s is for each."""
        return [await self.wait_for("event", timeout_s) for _ in range(n)]

    async def say(self, op: str, d: Any) -> None:
        await self.connection.send(json.dumps({"op": op, "d": d}))

    async def ask(self, type: str, **d: Any) -> dict[str, Any]:
        """Send a request and return its response; events in between are discarded."""
        await self.say("request", {"id": 1, "type": type, **d})
        return await self.wait_for("response")

    async def identify(self, token: str | None = None, **d: Any) -> dict[str, Any]:
        if token is not None:
            d["auth"] = token_proof.compute_proof(token, self.hello["auth"]["challenge"])
        await self.say("identify", {"protocol": 1, **d})
        self.identified = await self.wait_for("identified")
        return self.identified

    async def closed(self, timeout_s: float = 30.0) -> int:
        """Read until the server closes the connection; return the close code."""
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionClosed):
                async for _ in self.connection:
                    pass
            await self.connection.wait_closed()
        return self.connection.close_code or 0


@contextlib.asynccontextmanager
async def stranger(port: int, **options: Any):
    """Open a connection that has received `hello` and has sent nothing."""
    url = f"ws://127.0.0.1:{port}/ws"
    async with connect(
        url, compression=None, proxy=None, max_size=None, close_timeout=1, subprotocols=["streamseg.v1.json"], **options
    ) as connection:
        listener = Listener(connection)
        listener.hello = await listener.wait_for("hello")
        yield listener


@contextlib.asynccontextmanager
async def client(port: int, **identify: Any):
    """Open a connection that is identified."""
    async with stranger(port) as listener:
        await listener.identify(**identify)
        yield listener
