"""Attacks by clients without a token, against a server process of its own that also serves a well-behaved client.

Prints for each attack its outcome, the growth of the server's memory, its CPU time, and the longest response time for
the well-behaved client.

    python -m tools.load.attacks
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools.load.fan_out import UPGRADE, make_frame

SECONDS = 3.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def message(op: str, **d: object) -> bytes:
    return make_frame(json.dumps({"op": op, "d": d}).encode())


class Target:
    """A server that is already running."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.greeting = b""  # what the last client that came in was told

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def enter(self) -> socket.socket:
        """Connect a client and complete the handshake."""
        sock = self.connect()
        sock.sendall(UPGRADE)
        wait_for(sock, b'"op":"hello"')
        sock.sendall(message("identify", protocol=1))
        self.greeting = wait_for(sock, b'"op":"identified"')
        return sock


class Process(Target):
    """A server process with the default limits."""

    def __init__(self, history: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "tools.load.event_feed",
            "--strict",
            "--steps-per-s",
            "20",
            "--history",
            str(history),
        ]
        self.process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        super().__init__(int(self.process.stdout.readline().split()[1]))
        self._stat = Path(f"/proc/{self.process.pid}/stat")

    def rss_kib(self) -> int:
        return int(self._stat.read_text().rpartition(")")[2].split()[21]) * os.sysconf("SC_PAGESIZE") // 1024

    def cpu_s(self) -> float:
        return sum(map(int, self._stat.read_text().rpartition(")")[2].split()[11:13])) * TICK_S

    def end(self) -> str:
        """End the process and return its standard error."""
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        with self.process.stderr as stderr:
            return stderr.read()


def wait_for(sock: socket.socket, op: bytes) -> bytes:
    heard = b""
    until = time.monotonic() + 60  # a socket's own timeout begins anew with each heartbeat
    while op not in heard:
        some = sock.recv(1 << 20)
        if not some:
            raise ConnectionError("hung up")
        if time.monotonic() > until:
            raise TimeoutError(f"{op!r} did not come within a minute")
        heard += some
    return heard


class HonestClient:
    """A well-behaved client that sends ten requests a second and records the longest response time."""

    def __init__(self, server: Target) -> None:
        self.worst_s = 0.0
        self.asked = 0
        self._sock = server.enter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._done.wait(0.1):
            began = time.monotonic()
            self._sock.sendall(message("request", id=self.asked, type="snapshot", stream="mic"))
            wait_for(self._sock, b'"op":"response","d":{"id":%d,' % self.asked)
            self.worst_s = max(self.worst_s, time.monotonic() - began)
            self.asked += 1

    def end(self) -> None:
        self._done.set()
        self._thread.join()
        self._sock.close()


def make_flood(piece: bytes, clients: int = 1) -> Callable[[Target], str]:
    """Make an attack that sends the same bytes as fast as possible and never reads."""

    def attack(server: Target) -> str:
        blob = piece * max(1, 65_536 // len(piece))
        live = {server.enter(): 0 for _ in range(clients)}
        for sock in live:
            sock.setblocking(False)
        sent, until = 0, time.monotonic() + SECONDS
        while live and time.monotonic() < until:
            for sock, at in list(live.items()):
                try:
                    n = sock.send(blob[at:])
                    sent, live[sock] = sent + n, (at + n) % len(blob)
                except BlockingIOError:
                    pass
                except OSError:
                    sock.close()
                    del live[sock]
            time.sleep(0.001)
        left = len(live)
        for sock in live:
            sock.close()
        return f"{sent / 1e6:.1f} MB sent, {clients - left} of {clients} cut off"

    return attack


def send_endless_headers(server: Target) -> str:
    """Open connections whose HTTP headers never end."""
    line = b"X: " + b"a" * 8000 + b"\r\n"
    socks = [server.connect() for _ in range(200)]
    live = set(socks)
    for sock in socks:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.send(UPGRADE.partition(b"Upgrade")[0])
    until = time.monotonic() + SECONDS
    while live and time.monotonic() < until:
        for sock in list(live):
            try:
                sock.send(line)
            except BlockingIOError:
                pass
            except OSError:
                live.remove(sock)
        time.sleep(0.01)
    for sock in socks:
        sock.close()
    return f"{200 - len(live)} of 200 cut off"


def request_history_in_a_loop(server: Target) -> str:
    """Request the whole history from thirty clients, as often as they may."""
    socks = [server.enter() for _ in range(30)]
    epoch = server.greeting.rpartition(b'"epoch":"')[2].partition(b'"')[0].decode()
    asked = message("request", id=1, type="history", stream="mic", epoch=epoch, **{"from": 0, "to": 2**53})
    heard, until = 0, time.monotonic() + SECONDS
    for sock in socks:
        sock.setblocking(False)
    while time.monotonic() < until:
        for sock in socks:
            with contextlib.suppress(BlockingIOError):
                sock.send(asked)
            with contextlib.suppress(BlockingIOError):
                heard += len(sock.recv(1 << 20))
        time.sleep(0.06)
    for sock in socks:
        sock.close()
    return f"{heard / 1e6:.0f} MB heard"


def make_page_flood(path: str) -> Callable[[Target], str]:
    """Make an attack that requests a page three hundred times."""

    def attack(server: Target) -> str:
        began = time.monotonic()
        for _ in range(300):
            send_raw(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return f"{(time.monotonic() - began) / 0.3:.1f} ms each"

    return attack


def guess_tokens(server: Target) -> str:
    """Open as many connections as possible, each with one wrong token."""
    n, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        with server.connect() as sock:
            sock.sendall(UPGRADE)
            wait_for(sock, b'"op":"hello"')
            sock.sendall(message("identify", protocol=1, auth="0" * 64))
            sock.recv(100)
        n += 1
    return f"{n / SECONDS:.0f} a second"


def send_raw(server: Target, request: bytes) -> bytes:
    """Send raw bytes and return the whole response."""
    with server.connect() as sock:
        sock.sendall(request)
        heard = b""
        with contextlib.suppress(OSError):
            while some := sock.recv(65_536):
                heard += some
    return heard


ATTACKS: dict[str, Callable[[Target], str]] = {
    "pings": make_flood(make_frame(b"", 0x89)),
    "pings of twenty": make_flood(make_frame(b"", 0x89), 20),
    "large pings, pongs unread": make_flood(make_frame(b"x" * 125, 0x89)),
    "pongs": make_flood(make_frame(b"", 0x8A)),
    "one message in empty pieces": make_flood(make_frame(b"{", 0x01) + make_frame(b"", 0x00) * 100_000),
    "requests": make_flood(message("request", id=1, type="snapshot", stream="mic")),
    "nested JSON": make_flood(make_frame(b"[" * 16_000)),
    "long subscriptions": make_flood(message("request", id=1, type="subscribe", subscribe=["meter"] * 1600)),
    "endless greetings": send_endless_headers,
    "history in a loop": request_history_in_a_loop,
    "guesses": guess_tokens,
    "/asyncapi.json": make_page_flood("/asyncapi.json"),
    "/metrics": make_page_flood("/metrics"),
    "/": make_page_flood("/"),
}


def run_attacks(names: list[str]) -> list[dict]:
    """Run the attacks of these names one after the other; returns their results."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        server = Process(Path(folder) / "history.sqlite")
        try:
            honest = HonestClient(server)
            for name in names:
                honest.worst_s, rss_kib, cpu_s, began = 0.0, server.rss_kib(), server.cpu_s(), time.monotonic()
                outcome = ATTACKS[name](server)
                found.append(
                    {
                        "attack": name,
                        "seconds": round(time.monotonic() - began, 1),
                        "outcome": outcome,
                        "server_cpu_s": round(server.cpu_s() - cpu_s, 2),
                        "rss_growth_mib": round((server.rss_kib() - rss_kib) / 1024, 1),
                        "witness_waited_ms": round(1000 * honest.worst_s, 1),
                    }
                )
            asked = honest.asked
            time.sleep(0.5)
            found.append({"attack": "none", "witness_still_answered": honest.asked > asked})
            honest.end()
        finally:
            complaints = server.end()
    found.append({"attack": "log", "lines": len(complaints.splitlines()), "begins": complaints[:300]})
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", nargs="*", default=list(ATTACKS), help=f"any of {', '.join(ATTACKS)}")
    for row in run_attacks(parser.parse_args().attack):
        print(json.dumps(row))
