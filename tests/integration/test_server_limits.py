"""What strangers try: each attack of `tools.load.attacks` that fell once, and raw bytes that are no request of ours."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import subprocess

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from streamseg.server import Hub, serve
from streamseg.server.limits import address_group
from streamseg.server.rate_limiter import RateLimiter
from streamseg.settings import ServerSettings
from tools.load.attacks import message
from tools.load.event_feed import Feed
from tools.load.fan_out import UPGRADE, make_frame
from tools.load.plain_client import client, stranger


def test_an_allowance_fills_steadily_up_to_its_brim():
    allowance = RateLimiter(per_s=2, burst=3, now=10.0)
    assert [allowance.spend_or_overdraw(10.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.spend_or_overdraw(11.0), allowance.spend_or_overdraw(11.0)] == [
        True,
        False,
    ]  # what was refused is owed too
    assert [allowance.spend_or_overdraw(99.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.spend_or_overdraw(101.0, cost=2.5), allowance.spend_or_overdraw(101.0)] == [True, False]


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::7%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_who_counts_as_one(address, counted_as):
    assert address_group(address) == counted_as


@contextlib.asynccontextmanager
async def raw(port: int, *, upgraded: bool = True):
    """A socket, by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if upgraded:
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def hear_out(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server hangs up, however it does."""
    heard = bytearray()
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            while some := await reader.read(65_536):
                heard += some
    return bytes(heard)


@pytest.mark.parametrize(
    "piece",
    [
        make_frame(b"", 0x89),
        make_frame(b"x" * 125, 0x8A),
        make_frame(b"", 0x01) + make_frame(b"", 0x00) * 2000,
        message("request", id=1, type="snapshot", stream="mic"),
        make_frame(b'{"op":"request","d":' + b"[" * 10_000),
    ],
    ids=["pings", "pongs", "pieces", "requests", "nested"],
)
async def test_a_flood_is_cut_off_and_nobody_else_notices(piece, caplog):
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener, raw(server.port) as (reader, writer):
        writer.write(message("identify", protocol=1))
        writer.write(piece * (2**20 // len(piece)))
        heard = await hear_out(reader)
        assert any(b"\x88" + bytes([len(close)]) in heard for close in (b" " * n for n in range(2, 126)))
        said = feed.step()
        assert len(await listener.events(len(said))) == len(said)
    assert caplog.text == ""


async def test_a_busy_client_within_its_allowance_stays():
    hub = Hub(ServerSettings(messages_per_s=1000, message_burst=50))
    Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        for n in range(40):
            await listener.connection.ping()
            pieces = ('{"op":"request",', f'"d":{{"id":{n},"type":"subscribe",', '"subscribe":[]}}')
            await listener.connection.send(pieces)
        for _ in range(40):
            assert (await listener.wait_for("response"))["ok"]


async def test_a_message_that_is_too_large_is_refused_with_1009():
    hub = Hub(ServerSettings(max_message_bytes=1000))
    Feed(hub)
    async with serve(hub, port=0) as server:
        for pieces in (["x" * 1001], ["x" * 600, "x" * 600]):
            async with client(server.port) as listener:
                await listener.connection.send(pieces)
                assert await listener.closed() == 1009


async def test_a_greeting_that_dribbles_is_cut_off():
    """A byte now and then keeps a connection alive nowhere."""
    hub = Hub(ServerSettings(identify_timeout_s=1.0))
    async with serve(hub, port=0) as server, raw(server.port, upgraded=False) as (reader, writer):
        ended = asyncio.create_task(hear_out(reader))
        for byte in itertools.cycle(UPGRADE[:-4]):
            if ended.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        assert await ended == b""


async def test_a_page_that_nobody_reads_is_not_kept_for_ever():
    hub = Hub(ServerSettings(identify_timeout_s=1.0, max_connections_per_address=1))
    async with serve(hub, port=0) as server:
        unread = [socket.socket() for _ in range(1 + 64)]
        for sock in unread:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(b"GET /asyncapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(60):
            answer = b""
            while b"200 OK" not in answer:  # until there is room for one more
                with contextlib.suppress(OSError):
                    async with raw(server.port, upgraded=False) as (reader, writer):
                        writer.write(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                        answer = await hear_out(reader)
                await asyncio.sleep(0.05)
        for sock in unread:
            sock.close()


async def test_a_greeting_without_end_is_cut_off():
    async with serve(Hub(), port=0) as server, raw(server.port, upgraded=False) as (reader, writer):
        writer.write(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 100)
        assert await hear_out(reader) == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET //[x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET http://[::1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /..\\..\\etc HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /%ed%a0%80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /status HTTP/1.1\r\nHost: evil@127.0.0.1\r\n\r\n", 421),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421),
        (b"GET /status HTTP/1.1\r\n\r\n", 421),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: chrome-extension://127.0.0.1\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nOrigin: http://evil\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", 401),
        # Two requests in one, and bodies that might hide one: the first is answered, or nothing is.
        (b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nGET /", None),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        (b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
    ],
)
async def test_requests_that_are_none(request_, status, caplog):
    hub = Hub(ServerSettings(identify_timeout_s=1.5))
    Feed(hub)
    async with (
        serve(hub, port=0, read_token="secret") as server,
        raw(server.port, upgraded=False) as (reader, writer),
    ):
        writer.write(request_)
        heard = await hear_out(reader)
    if status is not None:
        assert heard.startswith(b"HTTP/1.1 %d " % status)
    assert heard.count(b"HTTP/1.1 ") <= 1
    assert b"HTTP/1.1 200" not in heard
    assert b"HTTP/1.1 500" not in heard
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["../../etc/passwd", "mic\u0000", "ｍｉｃ", "m\u0301ic", "\u202ecim", "x" * 201, "🎙"])
async def test_streams_that_do_not_exist_whatever_they_are_called(name):
    hub = Hub()
    Feed(hub)
    async with serve(hub, port=0) as server:
        async with stranger(server.port) as listener:
            await listener.say("identify", {"protocol": 1, "streams": [name]})
            assert await listener.closed() == 4005
        async with client(server.port) as listener:
            refused = await listener.ask("snapshot", stream=name)
            assert refused["error"]["code"] == (400 if len(name) > 200 else 600)
            # A cursor of a stream that was not asked for is not looked at.
        async with client(server.port, resume={name[:200]: {"epoch": "E", "offset": 1}}) as listener:
            assert set(listener.identified["streams"]) == {"mic"}


@pytest.fixture
def encrypted(tmp_path) -> ssl.SSLContext:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("tls", [False, True])
async def test_too_many_sockets_that_say_nothing(tls, encrypted):
    """Whoever opens sockets and dawdles, over a handshake of TLS too, keeps nobody else out."""
    hub = Hub(ServerSettings(max_connections_per_address=4, identify_timeout_s=60))
    Feed(hub)
    async with serve(hub, port=0, tls=encrypted if tls else None) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(100)]

        def turned_away() -> int:
            return sum(reader.at_eof() or reader.exception() is not None for reader, _ in silent)

        async with asyncio.timeout(60):
            while turned_away() < 100 - (4 + 64):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert turned_away() == 100 - (4 + 64)
        for _, writer in silent:
            writer.transport.abort()
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with asyncio.timeout(60):
            while True:  # as soon as the server has seen them go
                with contextlib.suppress(OSError, InvalidHandshake):
                    where = f"{'wss' if tls else 'ws'}://127.0.0.1:{server.port}/ws"
                    async with connect(where, ssl=trusting if tls else None, proxy=None) as connection:
                        assert "hello" in await connection.recv()
                        return


async def test_every_address_of_a_name_is_served():
    async with serve(Hub(), "localhost", 0) as server, raw(server.port, upgraded=False) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await hear_out(reader)


async def test_compression_is_not_to_be_had():
    async with serve(Hub(), port=0) as server, raw(server.port, upgraded=False) as (reader, writer):
        writer.write(UPGRADE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b"101" in answer
        assert b"Extensions" not in answer
        writer.write(make_frame(b"\xaa\x56\x4a\xcd\x49\x55\xb2\x02\x00", 0xC1))  # compressed all the same
        assert b"\x03\xea" in await hear_out(reader)  # 1002
