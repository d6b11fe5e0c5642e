"""What Windows lacks, taken away here: `fcntl`, `resource`, `termios`, waiting for pipes, accepting by ourselves.

No test here runs Windows. `msvcrt.locking` is stood in for by the C library's `flock`: both belong to an open file, and
neither ends when another descriptor of the same file is closed, as `lockf` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from source_items import samples_of
from unit.test_sources_pcm import piped

from streamseg.errors import HistoryError
from streamseg.history.database import open_history
from streamseg.server import Hub, listening_sockets, serve, websocket
from streamseg.server.limits import EXTRA_SOCKETS
from streamseg.settings import ServerSettings
from streamseg.sources import RawPcmSource
from tools.command import Running
from tools.load.plain_client import client

HIDDEN = ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty")
ON_WINDOWS = f"""
import ctypes, os, select, socket, subprocess, sys, types  # what stands on msvcrt comes first

def locking(descriptor, mode, length):
    assert (mode, length) == (2, 1)
    if libc.flock(descriptor, 2 | 4):
        raise PermissionError(13, "Permission denied")

def refuse_pipes(readable, *others):
    if not all(isinstance(each, socket.socket) for each in readable):
        raise OSError(10038, "not a socket")
    return waiting(readable, *others)

libc = ctypes.CDLL(None)
waiting, select.select = select.select, refuse_pipes
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.modules["msvcrt"].LK_NBLCK, sys.modules["msvcrt"].locking = 2, locking
sys.modules.update(dict.fromkeys({HIDDEN!r}))
for name in ("pread", "pwrite", "fork", "O_CLOEXEC"):
    delattr(os, name)
"""
IMPORT_ALL = """
import importlib, pkgutil, streamseg
for module in pkgutil.walk_packages(streamseg.__path__, "streamseg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
RUN = "from streamseg.cli import main; main()"
posix = pytest.mark.skipif(os.name != "posix", reason="there is nothing to take away")


@contextlib.contextmanager
def on_windows(program: str, *arguments: str | Path):
    """The process; it does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "-c", ON_WINDOWS + program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def wait_for(process: subprocess.Popen[bytes], pattern: str) -> re.Match[str]:
    return await asyncio.to_thread(Running(process).wait_for_message, pattern, 60)


@posix
def test_everything_can_be_imported():
    with on_windows(IMPORT_ALL) as process:
        _, messages = process.communicate(timeout=200)
    assert process.returncode == 0, messages.decode()


@posix
async def test_a_pipe_is_served_and_two_servers_share_no_history(tmp_path):
    history = tmp_path / "history.sqlite"
    asked = ("serve", "-", "--port", "0", "--sample-rate", "22050", "--channels", "1", "--history", history)
    with on_windows(RUN, *asked) as first:
        first.stdin.write(bytes(22_050 * 2))
        first.stdin.flush()
        port = int((await wait_for(first, r"ws://127\.0\.0\.1:(\d+)/ws")).group(1))
        async with client(port, subscribe=["meter"]) as listener:
            first.stdin.write(bytes(22_050 * 20))
            first.stdin.flush()
            (event,) = await listener.events(1)
            assert event["type"] == "streamseg.meter.v1"
        assert history.with_name("history.sqlite.lock").read_bytes() == b"1"  # beside the locked byte it can be read
        with on_windows(RUN, *asked) as second:
            await wait_for(second, r"is\s+in\s+use\s+by\s+another\s+process")
        first.send_signal(signal.SIGINT)  # the pipe is open: nothing but this ends it
        await asyncio.to_thread(first.wait, 60)
    assert first.returncode == 0
    with contextlib.closing(sqlite3.connect(history)) as db:
        assert json.loads(db.execute("SELECT json FROM event").fetchone()[0])["epoch"] == event["epoch"]


def test_without_any_lock_no_history_is_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with pytest.raises(HistoryError, match="neither fcntl nor msvcrt; serve with --no-history"):
        open_history(tmp_path / "history.sqlite")


@pytest.fixture
def sockets_only(monkeypatch):
    """`select` as it is on Windows."""

    def refuse(*_):
        raise OSError(10038, "not a socket")

    monkeypatch.setattr(select, "select", refuse)


@pytest.mark.parametrize("step", [None, 7, 4096])
def test_a_pipe_that_cannot_be_waited_for_is_read_whole(sockets_only, step):
    expected = np.tile(np.array([[0.5, -0.25]], np.float32), (20_000, 1))
    items, failure = piped((expected * (1 << 15)).astype("<i2").tobytes(), step)
    assert failure is None
    np.testing.assert_array_equal(samples_of(items), expected)


def test_a_pipe_that_cannot_be_waited_for_is_left_when_closed(sockets_only):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stream:
        source = RawPcmSource(stream, channels=1)
        items = iter(source)
        os.write(writing, bytes(200))
        assert len(next(items).samples) == 100
        (reader,) = (thread for thread in threading.enumerate() if thread.name == "read pipe")
        closing = threading.Timer(0.2, source.close)
        closing.start()
        assert list(items) == []  # although the pipe is still open
        closing.join()
        os.close(writing)
        reader.join(10)
        assert not reader.is_alive()


def test_a_pipe_that_fails_raises(sockets_only):
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)

    class Closed:
        def isatty(self):
            return False

        def fileno(self):
            return reading

    with pytest.raises(OSError, match="descriptor"):
        list(RawPcmSource(Closed()))


async def test_connections_are_counted_where_the_system_accepts_them(monkeypatch, caplog):
    monkeypatch.setattr(listening_sockets.LimitedListener, "accept", socket.socket.accept)
    monkeypatch.setattr(websocket, "loop_calls_accept", lambda _: False)
    hub = Hub(ServerSettings(max_connections_per_address=1))
    async with serve(hub, port=0) as server, contextlib.AsyncExitStack() as opened:

        async def visit():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            opened.push_async_callback(hang_up, writer)
            return reader, writer

        async def hang_up(writer):
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        visitors = [await visit() for _ in range(1 + EXTRA_SOCKETS)]
        one_too_many, asking = await visit()
        asking.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                assert await one_too_many.read() == b""
        for _, writer in visitors[:2]:
            writer.transport.abort()
        async with asyncio.timeout(30):
            while True:  # until the server has seen that they left
                with contextlib.suppress(ConnectionError):
                    reader, writer = await visit()
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if (await reader.readline()).startswith(b"HTTP/1.1 200"):
                        break
                await asyncio.sleep(0.01)
    assert not [record for record in caplog.records if record.exc_info and "handshake" not in record.message]
