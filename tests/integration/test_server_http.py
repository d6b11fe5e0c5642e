"""Requests with something behind them, a body or more requests: each gets one answer, whole, and no reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess

import pytest

from streamseg.server import Hub, serve
from streamseg.server.request_head import RequestHeadReader
from tools.load.event_feed import Feed

HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key} -out {cert}"
    subprocess.run(make.split(), check=True, capture_output=True)
    return cert, key


def ask(port: int, request: bytes, trusting: ssl.SSLContext | None = None) -> bytes:
    """All that is answered, as a simple client hears it: everything is sent before anything is read."""
    with contextlib.ExitStack() as open_sockets:
        sock = open_sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        if trusting is not None:
            sock = open_sockets.enter_context(trusting.wrap_socket(sock))
        sock.sendall(request)
        heard = b""
        while not heard.endswith(b"\n") and (some := sock.recv(65_536)):
            heard += some
        return heard


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 405),
        (b"POST /status HTTP/1.1\r\n" + HOST + b"content-length:2000000\r\n\r\n" + b"x" * 2_000_000, 405),
        (b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 400),
        (b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
        ((b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n") * 3, 200),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nGET /status HTTP/1.1\r\n" + HOST + b"\r\n" * 20_000, 200),
        (b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n\xff\x00" + b"\x88" * 200_000, 404),
    ],
    ids=[
        *("post", "post-much", "put-chunked", "get-body", "upgrade-body", "post-empty"),
        *("pipelined", "pipelined-much", "garbage-behind"),
    ],
)
async def test_a_request_with_more_behind_it_is_answered_once(request_, status, tls, certificate, caplog):
    theirs = trusting = None
    if tls:
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        theirs.load_cert_chain(*certificate)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    hub = Hub()
    Feed(hub)
    async with serve(hub, port=0, tls=theirs) as server:
        heard = await asyncio.to_thread(ask, server.port, request_, trusting)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d" % len(body) in head
    assert b"HTTP/1.1" not in body
    if status == 405:
        assert b"Allow: GET, HEAD" in head
    assert caplog.text == ""


def test_a_greeting_in_pieces_is_what_it_is_whole():
    whole = b"GET /ws HTTP/1.1\r\nHost: x\r\nUPGRADE: websocket\r\n\r\nframes"
    greeting = RequestHeadReader()
    heads = [greeting.add_bytes(whole[i : i + 1]) for i in range(whole.index(b"frames"))]
    assert heads[:-1] == [None] * (len(heads) - 1)
    assert heads[-1] == RequestHeadReader().add_bytes(whole)._replace(rest=b"")
    assert heads[-1].upgrades
    assert not heads[-1].has_body
    assert RequestHeadReader().add_bytes(whole).rest == b"frames"
    # TLS where none is: refused without waiting
    assert RequestHeadReader().add_bytes(b"\x16\x03\x01").head == b"\x16\x03\x01"
