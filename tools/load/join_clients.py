"""Clients that join many streams on slow lines, and check what they receive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time

from streamseg.client.protocol import Disconnected, Message, MessagesAndReply, StreamHeartbeat, StreamJoined
from streamseg.client.subscription import Subscription
from streamseg.wire.envelope import Envelope
from tools.load.fan_out import UPGRADE, make_frame, percentile
from tools.load.slow_line import slow_line

_SNAPSHOT = re.compile(rb'{"op":"snapshot","d":{"stream":"([^"]+)","epoch":"([^"]+)","offset":(\d+)')
_EVENT = re.compile(rb'{"op":"event".*?"source":"/streams/([^"]+)".*?"epoch":"([^"]+)","offset":(\d+)')


class Progress:
    """The progress of one client: what it received and when, and its faults."""

    def __init__(self, streams: list[str]) -> None:
        self.began_s = time.monotonic()
        self.identified_s: float | None = None
        self.complete_s: float | None = None
        self.closed: list[int | None] = []
        self.faults: list[str] = []
        self.events = 0
        self.events_among = 0  # before the last snapshot
        self._wanted = set(streams)
        self._places: dict[str, tuple[str, int]] = {}

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.began_s

    def joined(self, stream: str, epoch: str, offset: int) -> None:
        if stream in self._places:
            self.faults.append(f"{stream} joined twice")
        self._places[stream] = epoch, offset
        if self.complete_s is None and self._places.keys() == self._wanted:
            self.complete_s = self.now_s

    def event(self, stream: str, epoch: str, offset: int) -> None:
        self.events += 1
        self.events_among += self.complete_s is None
        at = self._places.get(stream, ("", -1))
        if (epoch, offset) != (at[0], at[1] + 1):
            self.faults.append(f"{stream}: {at[1]}, then {offset}")
        self._places[stream] = epoch, offset

    def heartbeat(self, stream: str, epoch: str, offset: int) -> None:
        if self._places.get(stream) != (epoch, offset):
            self.faults.append(f"{stream}: a heartbeat at {offset}")

    def done(self, tail_s: float) -> bool:
        return self.complete_s is not None and self.now_s > self.complete_s + tail_s


class Joiner(Subscription):
    """A client of `streamseg.client`."""

    def __init__(self, url: str, streams: list[str]) -> None:
        super().__init__(url, streams=streams)
        self.progress = Progress(streams)

    def receive_message(self, text: str | bytes) -> MessagesAndReply:
        received = super().receive_message(text)
        if self.connections and self.progress.identified_s is None:
            self.progress.identified_s = self.progress.now_s
        return received

    def take(self, message: Message) -> None:
        progress = self.progress
        match message:
            case StreamJoined(stream=stream, is_recovered=False, snapshot=snapshot):
                if snapshot is None or len(snapshot["recent"]) != 50:
                    progress.faults.append(f"{stream} has no full snapshot")
                progress.joined(stream, message.epoch, message.offset)
            case StreamJoined(stream=stream):
                progress.faults.append(f"{stream} says that it was there before")
            case Envelope(offset=int() as offset):
                progress.event(message.source.removeprefix("/streams/"), message.epoch, offset)
            case StreamHeartbeat(stream=stream):
                progress.heartbeat(stream, message.epoch, message.offset)
            case Disconnected(code=code):
                progress.closed.append(code)

    async def run(self, tail_s: float) -> Progress:
        """Run until everything has arrived and tail_s more have passed, or for a minute."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60), contextlib.aclosing(self.messages()) as messages:
                async for message in messages:
                    self.take(message)
                    if self.progress.done(tail_s):
                        return self.progress
        self.progress.faults.append("never complete")
        return self.progress


async def join_raw(port: int, streams: list[str], bytes_per_s: float, tail_s: float) -> Progress:
    """Run a client that reads at a fixed rate and parses as little as possible, so that many fit into one process."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    progress = Progress(streams)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=32_768)

    def take(frame: bytes) -> None:
        if found := _EVENT.match(frame):
            progress.event(found[1].decode(), found[2].decode(), int(found[3]))
        elif found := _SNAPSHOT.match(frame):
            progress.joined(found[1].decode(), found[2].decode(), int(found[3]))
        elif frame.startswith(b'{"op":"hello"'):
            d = {"protocol": 1, "streams": streams}
            writer.write(make_frame(json.dumps({"op": "identify", "d": d}).encode()))
        elif frame.startswith(b'{"op":"identified"'):
            progress.identified_s = progress.now_s
            for name, at in json.loads(frame)["d"]["streams"].items():
                if "snapshot" in at:
                    progress.joined(name, at["epoch"], at["offset"])
        elif frame.startswith(b'{"op":"heartbeat"'):
            for name, at in json.loads(frame)["d"]["streams"].items():
                progress.heartbeat(name, at["epoch"], at["offset"])

    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(60):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            rest, free = b"", loop.time()
            while not progress.done(tail_s):
                data = await reader.read(32_768)
                if not data:
                    break
                free = max(free, loop.time() - 0.1) + len(data) / bytes_per_s
                await asyncio.sleep(free - loop.time())
                frames, rest = split_frames(rest + data)
                for opcode, payload in frames:
                    if opcode == 1:
                        take(payload)
                    elif opcode == 8:
                        progress.closed.append(int.from_bytes(payload[:2], "big"))
                    elif opcode == 9:
                        writer.write(make_frame(payload, 0x8A))
    if progress.complete_s is None:
        progress.faults.append("never complete")
    writer.transport.abort()
    return progress


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Split data into its complete frames (opcode, payload) and the rest."""
    frames, at = [], 0
    while len(data) - at >= 2:
        size, body = data[at + 1] & 127, at + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : body], "big")
        if body + size > len(data):
            break
        frames.append((data[at] & 15, data[body : body + size]))
        at = body + size
    return frames, data[at:]


async def crowd(port: int, streams: list[str], ours: int, raw: int, bytes_per_s: float, tail_s: float = 1.0) -> dict:
    """Join clients at once, each on a line of its own: ours through a relay, and raw ones that read slowly."""
    began = time.process_time(), time.monotonic()
    async with slow_line(port, bytes_per_s) as slow_port:
        progresses = await asyncio.gather(
            *(Joiner(f"ws://127.0.0.1:{slow_port}/ws", streams).run(tail_s) for _ in range(ours)),
            *(join_raw(port, streams, bytes_per_s, tail_s) for _ in range(raw)),
        )
    cpu = (time.process_time() - began[0]) / (time.monotonic() - began[1])
    identified = [progress.identified_s or 999.0 for progress in progresses]
    complete = [progress.complete_s or 999.0 for progress in progresses]
    return {
        "clients": {"streamseg.client.protocol": ours, "raw": raw},
        "streams": len(streams),
        "bytes_per_s": bytes_per_s,
        "identified_s": {"median": round(percentile(identified, 0.5), 3), "most": round(max(identified), 3)},
        "complete_s": {"median": round(percentile(complete, 0.5), 2), "most": round(max(complete), 2)},
        "closed": [code for progress in progresses for code in progress.closed],
        "faults": [fault for progress in progresses for fault in progress.faults],
        "events": sum(progress.events for progress in progresses),
        "events_among_snapshots": sum(progress.events_among for progress in progresses),
        "crowd_cpu": round(cpu, 2),
    }
