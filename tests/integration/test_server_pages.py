"""What a browser gets, and what a stranger does not."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamseg.server import Hub, StreamProgress, serve
from streamseg.wire.printable import make_printable
from tools.load.event_feed import Feed
from tools.load.plain_client import Listener, client, stranger


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "page"
    (folder / "parts").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "app.js").write_text("let x = 1;")
    (folder / "parts" / "deep.css").write_text("body {}")
    (folder / "notes.txt").write_text("not for browsers")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    return folder


async def get(server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request, byte for byte as written here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    headers = {"Host": f"127.0.0.1:{server.port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), body


async def test_the_page_is_served_with_a_strict_policy(page):
    async with serve(Hub(), port=0, page_dir=page) as server:
        for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/parts/deep.css?x=1", "text/css")):
            status, headers, body = await get(server, path)
            assert (status, len(body)) == (200, int(headers["Content-Length"]))
            assert headers["Content-Type"].startswith(kind)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "no-referrer"
        status, headers, body = await get(server, "/", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/parts/../../secret.html",
        "/%2e%2e/secret.html",
        "/..%2fsecret.html",
        "/%2e%2e%2fsecret.html",
        "//secret.html",
        "/link.html",
        "/notes.txt",
        "/parts",
        "/parts/",
        "/app.js%00.html",
        "/app.js/",
        "/\\..\\secret.html",
        "/%5c..%5csecret.html",
        "/index.html/../../secret.html",
        "/wsx",
    ],
)
async def test_no_path_leaves_the_folder(page, path):
    async with serve(Hub(), port=0, page_dir=page) as server:
        status, _, body = await get(server, path)
        assert status == 404
        assert b"secret" not in body


async def test_only_reading_methods(page):
    async with serve(Hub(), port=0, page_dir=page) as server:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
            status, headers, _ = await get(server, "/", method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")


async def test_the_state_for_people_and_machines(page):
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0, page_dir=page) as server, client(server.port):
        feed.publish(feed.talker.start(), feed.talker.meter())
        hub.publish("mic", [], StreamProgress(20.0, 8.0, lag_s=0.25, dropped_samples=7, engine_s=0.5))
        status, _, body = await get(server, "/healthz")
        assert (status, body) == (200, b"ok\n")
        state = json.loads((await get(server, "/status"))[2])
        assert state["clients"] == 1
        assert state["streams"]["mic"]["offset"] == 1
        assert state["streams"]["mic"]["snapshot"]["state"] == "live"
        status, headers, body = await get(server, "/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        values = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
        assert values["streamseg_lag_seconds", "mic"] == 0.25
        assert values["streamseg_dropped_samples", "mic"] == 7
        assert values["streamseg_engine_seconds_per_second", "mic"] == 0.025
        assert values["streamseg_events_total", "mic", "streamseg.stream.started.v1"] == 1
        assert values["streamseg_events_total", "mic", "streamseg.meter.v1"] == 1
        assert values["streamseg_clients",] == 1
        assert values["streamseg_queue_bytes",] == 0
        document = json.loads((await get(server, "/asyncapi.json"))[2])
        assert document["servers"]["here"]["host"] == f"127.0.0.1:{server.port}"
        schema = json.loads((await get(server, "/schemas/streamseg.boundary.confirmed.v1.json"))[2])
        assert schema["properties"]["type"]["const"] == "streamseg.boundary.confirmed.v1"


async def test_a_token_guards_the_state_but_not_the_page(page):
    async with serve(Hub(), port=0, page_dir=page, read_token="r", control_token="c") as server:
        for path in ("/status", "/metrics"):
            status, headers, _ = await get(server, path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert (await get(server, path, Authorization="Bearer wrong"))[0] == 401
            assert (await get(server, path, Authorization="Basic r"))[0] == 401
            assert (await get(server, path + "?token=r"))[0] == 401
            for token in ("r", "c"):
                assert (await get(server, path, Authorization=f"Bearer {token}"))[0] == 200
        for path in ("/", "/healthz", "/asyncapi.json"):
            assert (await get(server, path))[0] == 200


async def test_paths_are_told_to_who_may_control_and_to_nobody_else(page, tmp_path):
    secret = tmp_path / "customer" / "n\udce4chte.flac"  # Latin-1 on a file system that is UTF-8
    for tokens in ({}, {"control_token": "c"}, {"read_token": "r", "control_token": "c"}):
        hub = Hub(history=tmp_path / "data" / "history.sqlite")
        feed = Feed(hub)
        hub.add_stream("mic", feed.sequencer.epoch, feed, source=str(secret))
        async with serve(hub, port=0, page_dir=page, **tokens) as server:
            for token in ("r", "c", None):
                status, _, body = await get(
                    server, "/status", **({"Authorization": f"Bearer {token}"} if token else {})
                )
                state = json.loads(body) if status == 200 else {}
                if token == "c" and tokens:
                    assert state["streams"]["mic"]["source"] == make_printable(str(secret))
                    assert state["history"]["path"] == str(tmp_path / "data" / "history.sqlite")
                else:
                    assert str(tmp_path).encode() not in body


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1:{port}", None, True),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", True),
        ("localhost:{port}", "http://localhost:{port}", True),
        ("[::1]:{port}", "http://[::1]:{port}", True),
        ("127.0.0.1:{port}", "https://studio.example", True),
        ("studio.example", "https://studio.example", True),
        ("127.0.0.1:{port}", "http://evil.example", False),
        ("127.0.0.1:{port}", "http://127.0.0.1:1", False),
        ("127.0.0.1:{port}", "http://localhost:{port}", False),
        ("127.0.0.1:{port}", "null", False),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}@evil.example", False),
        ("127.0.0.1:{port}", "https://studio.example.evil.example", False),
        ("evil.example:{port}", "http://evil.example:{port}", False),  # a name that was made to point here
        ("evil.example", None, False),
        ("[::1", None, False),
        ("", None, False),
    ],
)
async def test_foreign_origins_and_names_are_refused(page, host, origin, allowed):
    async with serve(Hub(), port=0, page_dir=page, origins=["https://studio.example"]) as server:
        headers = {"Host": host.format(port=server.port)}
        if origin:
            headers["Origin"] = origin.format(port=server.port)
        ours = host.startswith(("127", "localhost", "[::1]", "studio"))
        assert (await get(server, "/status", **headers))[0] == (200 if allowed else 403 if ours else 421)
        if "Origin" in headers and headers["Host"].startswith("127"):
            status = 0
            try:
                async with connect(f"ws://127.0.0.1:{server.port}/ws", origin=headers["Origin"], proxy=None) as ours:
                    await ours.recv()
            except InvalidStatus as refusal:
                status = refusal.response.status_code
            assert status == (0 if allowed else 403)


async def test_plain_http_at_the_socket_and_a_socket_elsewhere(page):
    async with serve(Hub(), port=0, page_dir=page) as server:
        assert (await get(server, "/ws"))[0] == 404
        with pytest.raises(InvalidStatus, match="404"):
            async with connect(f"ws://127.0.0.1:{server.port}/elsewhere", proxy=None):
                pass


async def test_the_subprotocol_is_ours_or_none(page):
    async with serve(Hub(), port=0, page_dir=page) as server:
        async with stranger(server.port) as ours:
            assert ours.connection.subprotocol == "streamseg.v1.json"
        async with connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as plain:
            assert plain.subprotocol is None
            assert "Sec-WebSocket-Extensions" not in plain.response.headers
            assert "Server" not in plain.response.headers


async def test_over_tls(page, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=certificate)
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, "0.0.0.0", 0, page_dir=page, tls=theirs, read_token="r") as server:
        url = f"wss://127.0.0.1:{server.port}/ws"
        async with connect(url, ssl=ours, proxy=None) as connection:
            listener = Listener(connection)
            listener.hello = await listener.wait_for("hello")
            await listener.identify(token="r")
            said = feed.step()
            assert [d["id"] for d in await listener.events(len(said))] == [envelope.id for envelope in said]
        document = server.make_asyncapi_body()[1]
        assert json.loads(document)["servers"]["here"]["protocol"] == "wss"


async def test_off_loopback_without_tls_when_asked_for(page, caplog):
    hub = Hub()
    Feed(hub)
    async with serve(hub, "0.0.0.0", 0, page_dir=page, control_token="c", insecure=True) as server:
        async with stranger(server.port) as nobody:
            await nobody.say("identify", {"protocol": 1})
            assert await nobody.closed() == 4009
        async with client(server.port, token="c") as somebody:
            assert somebody.identified["role"] == "control"
    assert "fewer than 16 characters is easy to guess" in caplog.text


async def test_whoever_asks_and_hangs_up_leaves_no_trace(page, caplog):
    async with serve(Hub(), port=0, page_dir=page) as server:
        for path in (b"/", b"/nothing", b"/ws"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(60):
                await reader.read()
            writer.close()
        assert (await get(server, "/healthz"))[0] == 200
    assert caplog.text == ""
