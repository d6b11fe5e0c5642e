"""Number of clients that one core serves, with delay and with cost relative to a bare broadcast.

The server is a process pinned to one core; the clients, raw sockets in this process, are on the others.

    python -m tools.load.fan_out --clients 1000 --events-per-s 20 --seconds 15
    python -m tools.load.fan_out --clients 1000 --events-per-s 5 --bare        # the reference
    python -m tools.load.fan_out --clients 1000 --events-per-s 20 --pad 4000 --stalled 100
    python -m tools.load.fan_out --clients 1000 --events-per-s 20 --saturate   # faster until the server is too slow
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def make_frame(payload: bytes, first: int = 0x81) -> bytes:
    """Make a client's frame of up to 65,535 bytes, whose mask is zeros. first: its first byte, of a text by default."""
    size = len(payload)
    head = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + head + b"\0\0\0\0" + payload


class Clients:
    """Many connections, read by one epoll loop."""

    def __init__(
        self,
        port: int,
        n: int,
        stalled: int = 0,
        subscribe: list[str] | None = None,
        streams: list[str] | None = None,
    ) -> None:
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.rest: dict[int, bytes] = {}
        self.received = 0
        self.closed = 0
        self.latencies_s: list[float] = []
        self.stalled = []
        self.timed = subscribe is None  # our own broadcaster says when it spoke
        d = {"protocol": 1} if subscribe is None else {"protocol": 1, "subscribe": subscribe}
        d |= {} if streams is None else {"streams": streams}
        identify = json.dumps({"op": "identify", "d": d}).encode()
        for first in range(0, n, 64):
            # Every 64 come from an address of their own, as strangers would: a server bounds what one may open.
            here = (f"127.0.{1 + first // 64 // 250}.{1 + first // 64 % 250}", 0)
            some = [
                socket.create_connection(("127.0.0.1", port), timeout=60, source_address=here)
                for _ in range(min(64, n - first))
            ]
            for sock in some:
                sock.sendall(UPGRADE)
            for sock in some:
                self._wait_for(sock, b'"op":"hello"')
                sock.sendall(make_frame(identify))
            for i, sock in enumerate(some, first):
                self._wait_for(sock, b'"op":"identified"')
                if i < stalled:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                    self.stalled.append(sock)
                    continue
                sock.setblocking(False)
                self.sockets[sock.fileno()] = sock
                self.rest[sock.fileno()] = b""
                self.epoll.register(sock.fileno(), select.EPOLLIN)
            self.read(0)  # those who are in want their pings answered

    def _wait_for(self, sock: socket.socket, op: bytes) -> None:
        heard = b""
        until = time.monotonic() + 60
        while op not in heard:
            some = sock.recv(65536)
            if not some or time.monotonic() > until:
                raise ConnectionError(f"{op!r} did not come: {heard[-200:]!r}")
            heard += some

    def read(self, wait_s: float) -> None:
        """Read what arrives within this many seconds."""
        for fd, _ in self.epoll.poll(wait_s, 4096):
            try:
                data = self.sockets[fd].recv(262_144)
            except (BlockingIOError, ConnectionError):
                data = b""
            now = time.monotonic()
            if not data:
                self.epoll.unregister(fd)
                self.closed += 1
                continue
            self.rest[fd] = self._frames(fd, self.rest[fd] + data, now)

    def _frames(self, fd: int, data: bytes, now: float) -> bytes:
        at = 0
        while len(data) - at >= 2:
            size, body = data[at + 1] & 127, at + 2
            if size == 126:
                size, body = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if body + size > len(data):
                break
            if data[at] == 0x89:
                self.sockets[fd].send(b"\x8a" + bytes([0x80 | size]) + b"\0\0\0\0" + data[body : body + size])
            elif data.startswith(b'{"op":"event"', body):
                self.received += 1
                if not self.timed:
                    at = body + size
                    continue
                said = data.rfind(b'"t":', body, body + size) + 4
                self.latencies_s.append(now - float(data[said : data.index(b",", said)]))
            at = body + size
        return data[at:]

    def close(self) -> None:
        for sock in (*self.sockets.values(), *self.stalled):
            sock.close()
        self.epoll.close()


def percentile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def measure(options: argparse.Namespace, *, bare: bool, stalled: int = 0) -> dict:
    """Run once against one server process and return the measurements."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tools.load.broadcaster"]
        command += ["--bare"] if bare else ["--history", str(Path(folder) / "history.sqlite")]
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        os.sched_setaffinity(process.pid, cores[:1])
        if len(cores) > 1:
            os.sched_setaffinity(0, cores[1:])
        try:
            port = int(process.stdout.readline())

            def ask(line: str) -> None:
                process.stdin.write(line + "\n")
                process.stdin.flush()

            def answer() -> dict:
                return json.loads(process.stdout.readline())

            ask("rss")
            empty = answer()
            clients = Clients(port, options.clients, stalled)
            ask("rss")
            idle = answer()
            began_cpu_s, began_s = time.process_time(), time.monotonic()
            ask(f"go {options.events_per_s} {options.seconds} {options.pad}")
            n = int(options.events_per_s * options.seconds)
            wanted = n * (options.clients - stalled)
            until = time.monotonic() + options.seconds * 3 + 30
            while clients.received < wanted and time.monotonic() < until and not _ready(process.stdout):
                clients.read(0.05)
            last = time.monotonic() + 2
            while time.monotonic() < last and clients.received < wanted:
                clients.read(0.05)
            crowd_cpu = (time.process_time() - began_cpu_s) / (time.monotonic() - began_s)
            cost = answer()
            clients.close()
            ask("quit")
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
            os.sched_setaffinity(0, cores)
    return {
        "server": "bare broadcast" if bare else "streamseg",
        "clients": options.clients,
        "stalled": stalled,
        "events_per_s": options.events_per_s,
        "delivered": clients.received,
        "delivered_fraction": round(clients.received / wanted, 6),
        "closed": clients.closed,
        "p50_ms": round(1000 * percentile(clients.latencies_s, 0.50), 1),
        "p99_ms": round(1000 * percentile(clients.latencies_s, 0.99), 1),
        "max_ms": round(1000 * percentile(clients.latencies_s, 1.0), 1),
        "crowd_cpu": round(crowd_cpu, 3),
        "server_cpu": round(cost["cpu_s"] / cost["seconds"], 3),
        "cpu_us_per_message": round(1e6 * cost["cpu_s"] / max(1, clients.received), 2),
        "behind_schedule_ms": round(1000 * cost["latest_s"], 1),
        "kib_per_idle_client": round((idle["rss_kib"] - empty["rss_kib"]) / options.clients, 1),
        "rss_growth_kib": cost["rss_kib"] - idle["rss_kib"],
        "rss_peak_growth_kib": max(0, cost["rss_peak_kib"] - idle["rss_kib"]),
    }


def _ready(stream) -> bool:
    return bool(select.select([stream], [], [], 0)[0])


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=1000)
    options.add_argument("--events-per-s", type=float, default=5)
    options.add_argument("--seconds", type=float, default=15)
    options.add_argument("--pad", type=int, default=20, help="bytes of padding in each event")
    options.add_argument("--stalled", type=int, default=0, help="run again with so many clients that never read")
    options.add_argument("--saturate", action="store_true", help="again and again, faster, until it cannot")
    options.add_argument("--bare", action="store_true", help="run a bare broadcast first, in the same run")
    return options


def saturate(options: argparse.Namespace) -> list[dict]:
    """Raise the rate by half each time, until the server or the clients are too slow; print each run."""
    runs: list[dict] = []
    while not runs or (runs[-1]["delivered_fraction"] == 1 and runs[-1]["behind_schedule_ms"] < 500):
        runs.append(measure(options, bare=False))
        print(json.dumps(runs[-1]), flush=True)
        options.events_per_s *= 1.5
    return runs


def main(options: argparse.Namespace) -> list[dict]:
    runs = []
    if options.bare:
        runs.append(measure(options, bare=True))
    runs.append(measure(options, bare=False))
    if options.stalled:
        runs.append(measure(options, bare=False, stalled=options.stalled))
    return runs


if __name__ == "__main__":
    options = parser().parse_args()
    for run in [] if options.saturate else main(options):
        print(json.dumps(run), flush=True)
    if options.saturate:
        saturate(options)
