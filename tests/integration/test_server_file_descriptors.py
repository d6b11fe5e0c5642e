"""A process that may open few files: connections leave room for the rest, and the log stays short."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from streamseg.server.file_descriptors import increase_descriptor_limit
from tools.load.plain_client import client

resource = pytest.importorskip("resource")
ROOT = Path(__file__).parents[2]


def limited(soft: int, hard: int):
    """To be called in a child before it begins."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def crowd(port: int, n: int):
    """So many sockets that say nothing."""
    limit = increase_descriptor_limit(n + 200)
    if limit is not None and limit < n + 200:
        pytest.skip(f"{n} sockets cannot be opened here: the limit is {limit}")
    with contextlib.ExitStack() as opened:
        for _ in range(n):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)).settimeout(30)
        yield


def get(port: int, path: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read()


@pytest.fixture
def station(tmp_path):
    """A server process that may open 512 files and is asked for 20,000 connections of one address."""
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tools.load.event_feed", "--steps-per-s", "20"),
                *("--history", str(tmp_path / "history.sqlite"), "--open-files", "512"),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield int(process.stdout.readline().split()[1]), log
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def test_silent_sockets_leave_room_for_the_history_and_a_short_log(station):
    port, log = station
    async with client(port) as listener:
        before = (await listener.events(1))[0]
        with crowd(port, 900):
            assert "512 files" in log.read_text()
            # The history is read by a connection that is opened only now.
            past = await listener.ask("history", stream="mic", epoch=before["epoch"], **{"from": 1, "to": 3})
            assert past["ok"], past
            message = await listener.wait_for_message("event")
            assert message.get("kept", True)
            assert len(log.read_text().splitlines()) <= 3, log.read_text()
            assert "no room for another connection" in log.read_text()
    deadline = time.monotonic() + 60
    while True:  # as soon as the server has seen them go
        with contextlib.suppress(OSError):
            state = json.loads(get(port, "/status"))
            break
        assert time.monotonic() < deadline
    assert state["history"]["failure"] is None
    assert "Traceback" not in log.read_text()


EXHAUSTED = """
import asyncio, contextlib, os, sys
from streamseg.server import Hub, serve

async def main():
    async with serve(Hub(), port=0) as server:
        held = []
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        print(server.port, flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.readline)
        for descriptor in held:
            os.close(descriptor)
        print("freed", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)

asyncio.run(main())
"""


def test_a_full_table_turns_connections_away_with_one_line():
    """Whatever filled it: whoever comes is hung up on, and comes in again once there is room."""
    with subprocess.Popen(
        [sys.executable, "-c", EXHAUSTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited(256, 256),
    ) as process:
        try:
            port = int(process.stdout.readline())
            for _ in range(300):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
                    sock.settimeout(30)
                    with contextlib.suppress(ConnectionError):
                        assert sock.recv(1) == b""
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "freed\n"
            assert get(port, "/healthz") == b"ok\n"
            _, errors = process.communicate("\n", timeout=60)
        finally:
            process.kill()
    assert "Traceback" not in errors
    assert errors.count("no room for another connection: Too many open files") == 1, errors


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "raised_to", "fits"),
    [(256, 1024, 20_000, 1024, "some"), (256, 4096, 1000, None, "all"), (2048, 4096, 100, 2048, "all")],
)
def test_the_soft_limit_is_raised_to_what_is_needed(soft, hard, asked, raised_to, fits):
    code = (
        "import resource\n"
        "from streamseg.server.file_descriptors import make_room_for_sockets, count_open_descriptors\n"
        f"n = count_open_descriptors(); print(n, make_room_for_sockets({asked}, 2), "
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=limited(soft, hard),
    )
    already_open, fitting, limit = map(int, done.stdout.split())
    beside = already_open + 64 + 2 * 8
    assert limit == (raised_to or asked + beside)
    assert fitting == (asked if fits == "all" else limit - beside)
    assert bool(re.search(r"\d+ connections fit", done.stderr)) == (fits == "some")
