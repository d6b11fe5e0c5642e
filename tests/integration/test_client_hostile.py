"""A server that is hostile, or none of ours: one clean line and an exit code, whatever it says."""

import asyncio
import contextlib
import http
import json
import threading

import pytest
import websockets.sync.server
from integration.test_printable import HOSTILE, UNPRINTABLE
from typer.testing import CliRunner

from streamseg.cli.app import app
from streamseg.client.control import send_request
from streamseg.errors import NotFoundOnServerError
from streamseg.server import Hub, serve
from tools.load.event_feed import Feed

HELLO = {
    "server": "s",
    "protocol": 1,
    "min_protocol": 1,
    "auth": None,
    "heartbeat_s": 1.0,
    "max_queue_bytes": 1,
    "history": {"events": 0, "seconds": 0},
    "streams": [],
}


@contextlib.contextmanager
def hostile_server(converse=None, refuse=None):
    """The address of a server that converses like that, or refuses with that body."""

    def process_request(connection, _):
        return None if refuse is None else connection.respond(http.HTTPStatus.FORBIDDEN, refuse)

    with websockets.sync.server.serve(
        converse or (lambda _: None),
        "127.0.0.1",
        0,
        process_request=process_request,
        subprotocols=["streamseg.v1.json"],
        compression=None,
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        server.shutdown()
        thread.join()


def op(op, d):
    return json.dumps({"op": op, "d": d})


def closing(connection):
    connection.close(4009, "no\x1b[2J\x9b31m\u202etoken\n")


def answering(refusal):
    def converse(connection):
        connection.send(op("hello", HELLO | {"streams": ["mic"]}))
        connection.recv()
        where = {"epoch": "e", "offset": 0, "recovered": False, "replayed": 0, "snapshot": {"state": "running"}}
        connection.send(op("identified", {"streams": {"mic": where}}))
        connection.recv()
        connection.send(op("response", {"id": 1, "ok": False, "error": {"code": 205, "message": refusal}}))
        connection.recv()

    return converse


def saying(*texts):
    def converse(connection):
        for text in texts:
            connection.send(text)
        connection.recv()

    return converse


def said_cleanly(*arguments) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert not set(done.stderr.strip("\n")) & set(UNPRINTABLE)
    assert "foreseen" not in done.stderr
    assert len(done.stderr) < 500
    return done.stderr


def test_a_close_reason():
    with hostile_server(closing) as url:
        assert "closed with 4009: no�[2J�31m�token" in said_cleanly("watch", url)


def test_a_refusal_s_page():
    with hostile_server(refuse=HOSTILE.replace("\udcff", "") + "x" * 100_000) as url:
        assert "answered 403: News�[2J" in said_cleanly("watch", url)
        said_cleanly("name", url, "A", "Chorus")


def test_an_answer():
    with hostile_server(answering("no label\x1b]0;owned\x07 here\n" + "y" * 1000)) as url:
        assert "refuses: no label�]0;owned� here" in said_cleanly("name", url, "A", "Chorus")


@pytest.mark.parametrize(
    "texts",
    [
        ["not JSON \x1b[2J"],
        ["[]"],
        [op("hello", None)],
        [op("hello", {})],
        [op("hello", HELLO | {"protocol": "\x1b[2J"})],
        [op("hello", HELLO), op("identified", {"streams": {"\x1b[2J": {"epoch": 1}}})],
        [op("hello", HELLO), op("heartbeat", {"streams": []})],
        [op("hello", HELLO), op("event", {"specversion": "\x1b[2J"})],
        [op("hello", HELLO), op("dropped", {})],
    ],
)
def test_another_protocol(texts):
    with hostile_server(saying(*texts)) as url:
        assert "does not speak streamseg's protocol" in said_cleanly("watch", url)


async def test_a_stream_that_was_not_named_or_is_not_there():
    hub = Hub()
    for name in ("mic", "line"):
        Feed(hub, name)
    async with serve(hub, port=0) as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        for stream, message in (
            (None, "2 streams and none was named.*--stream NAME, of: mic, line"),
            ("x", "mic, line"),
        ):
            with pytest.raises(NotFoundOnServerError, match=message) as refused:
                await asyncio.to_thread(send_request, url, "reset", stream=stream)
            assert "None" not in str(refused.value)
