"""Kills the server with SIGKILL at random times, cuts connections, stalls readers, and then compares.

Every client resumes by itself and stores the text of each event that it receives. At the end its history must equal
the log from its start, byte for byte: no hole, no duplicate, and no event that is not in the log.

    python -m tools.load.kill_storm --kills 200 --drops 1000 --listeners 12
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

EVENT = '{"op":"event","d":'


@dataclass
class Reader:
    """A client that resumes, and stores the text of the events that it receives."""

    number: int
    begin: dict[str, dict] = field(default_factory=dict)
    cursors: dict[str, dict] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    connections: int = 0
    lost: int = 0  # times the server could not recover everything
    slow: int = 0
    connection: object = None
    stall_until: float = 0.0

    async def run(self, port: int) -> None:
        while True:
            try:
                async with connect(
                    f"ws://127.0.0.1:{port}/ws",
                    compression=None,
                    proxy=None,
                    max_size=None,
                    open_timeout=5,
                    close_timeout=0.1,
                ) as self.connection:
                    async for text in self.connection:
                        await self.hear(text)
                        if (wait := self.stall_until - time.monotonic()) > 0:
                            await asyncio.sleep(wait)
            except ConnectionClosed as closed:
                self.slow += closed.rcvd is not None and closed.rcvd.code == 4308
            except (OSError, TimeoutError, InvalidHandshake):
                pass
            self.connection = None
            await asyncio.sleep(random.uniform(0, 0.05))

    async def hear(self, text: str) -> None:
        if text.startswith(EVENT):
            event = json.loads(text)["d"]
            stream = event["source"].removeprefix("/streams/")
            self.texts[stream].append(text.removeprefix(EVENT).removesuffix("}"))
            self.cursors[stream] = {"epoch": event["epoch"], "offset": event["offset"]}
            return
        message = json.loads(text)
        if message["op"] == "hello":
            d = {"protocol": 1, "client": f"reader {self.number}", "resume": self.cursors}
            await self.connection.send(json.dumps({"op": "identify", "d": d}))
        elif message["op"] == "identified":
            self.connections += 1
            for stream, at in message["d"]["streams"].items():
                if stream not in self.begin:
                    self.begin[stream] = self.cursors[stream] = {"epoch": at["epoch"], "offset": at["offset"]}
                    self.texts[stream] = []
                elif not at["recovered"]:
                    self.lost += 1
        elif message["op"] == "heartbeat":
            for stream, at in message["d"]["streams"].items():
                self.cursors[stream] = {"epoch": at["epoch"], "offset": at["offset"]}


def read_log(path: Path) -> dict[str, list[tuple[str, int, str]]]:
    """Read (epoch, offset, text) of every event, by stream, in order."""
    log: dict[str, list[tuple[str, int, str]]] = {}
    with sqlite3.connect(path) as db:
        for stream, epoch, offset, text in db.execute(
            "SELECT stream.name, epoch.epoch, offset, json FROM event JOIN epoch ON epoch.id = epoch_id"
            " JOIN stream ON stream.id = event.stream_id ORDER BY event.stream_id, epoch_id, offset"
        ):
            log.setdefault(stream, []).append((epoch, offset, text))
    db.close()
    return log


def expected_texts(log: list[tuple[str, int, str]], begin: dict) -> list[str]:
    """Return the texts that a client that started at this event must have."""
    if begin["offset"] == 0:
        first = next((i for i, (epoch, _, _) in enumerate(log) if epoch >= begin["epoch"]), len(log))
    else:
        first = 1 + [(epoch, offset) for epoch, offset, _ in log].index((begin["epoch"], begin["offset"]))
    return [text for _, _, text in log[first:]]


async def storm(options: argparse.Namespace, folder: Path) -> dict:
    """Run the storm and return the findings."""
    chance = random.Random(options.seed)
    history = folder / "history.sqlite"
    readers = [Reader(i) for i in range(options.listeners)]
    port, process = 0, None
    tasks: list[asyncio.Task] = []
    drops_left, kills, began = options.drops, 0, time.monotonic()

    async def start() -> None:
        nonlocal process, port
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tools.load.event_feed", "--history", str(history), "--port", str(port),
            "--streams", "mic", "line", "--steps-per-s", str(options.steps_per_s), "--reset-chance", "0.002",
            "--heartbeat-s", "0.2",
            cwd=Path(__file__).parents[2], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        port = int(line.split()[1])

    await start()
    tasks = [asyncio.create_task(reader.run(port)) for reader in readers]
    while kills < options.kills:
        until = time.monotonic() + chance.uniform(0.0, options.life_s)
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(0.02, until - now))
            for _ in range(3):
                reader = chance.choice(readers)
                if drops_left and reader.connection is not None and chance.random() < 0.5:
                    reader.connection.transport.abort()
                    drops_left -= 1
            if chance.random() < 0.05:
                chance.choice(readers).stall_until = time.monotonic() + chance.uniform(0, 0.5)
        process.kill()
        await process.wait()
        kills += 1
        await start()
    await asyncio.sleep(2)
    process.stdin.close()  # finish: the server emits and sends all pending events
    async with asyncio.timeout(60):
        await process.wait()
    log = read_log(history)
    finished = {stream: events[-1][2] for stream, events in log.items()}
    await start()  # whoever is behind catches up with the finished log
    caught_up_by = time.monotonic() + 60
    while time.monotonic() < caught_up_by:
        await asyncio.sleep(0.2)
        ends = {stream: (epoch, offset) for stream, [*_, (epoch, offset, _)] in log.items()}
        if all((r.cursors[s]["epoch"], r.cursors[s]["offset"]) >= end for r in readers for s, end in ends.items()):
            break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    process.kill()
    await process.wait()
    log = read_log(history)
    holes = doubles = strange = compared = behind = 0
    for reader in readers:
        for stream, texts in reader.texts.items():
            wanted = expected_texts(log[stream], reader.begin[stream])
            known = set(wanted)
            doubles += len(texts) - len(set(texts))
            strange += sum(text not in known for text in texts)
            holes += len(set(wanted[: len(texts)]) - set(texts))
            if texts != wanted[: len(texts)]:
                holes = holes or 1
            behind += finished[stream] not in texts
            compared += len(texts)
    return {
        "kills": kills,
        "drops": options.drops - drops_left,
        "events_in_log": sum(len(events) for events in log.values()),
        "epochs": len({epoch for events in log.values() for epoch, _, _ in events}),
        "compared": compared,
        "connections": sum(reader.connections for reader in readers),
        "not_recovered": sum(reader.lost for reader in readers),
        "closed_as_slow": sum(reader.slow for reader in readers),
        "holes": holes,
        "doubles": doubles,
        "behind": behind,
        "not_in_log": strange,
        "seconds": round(time.monotonic() - began, 1),
    }


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--drops", type=int, default=1000)
    options.add_argument("--listeners", type=int, default=12)
    options.add_argument("--life-s", type=float, default=0.8, help="a server lives at most so long")
    options.add_argument("--steps-per-s", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    return options


def failed(found: dict) -> bool:
    return bool(found["holes"] or found["behind"] or found["doubles"] or found["not_in_log"] or found["not_recovered"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(storm(parser().parse_args(), Path(folder)))
    print(json.dumps(found, indent=1))
    sys.exit(failed(found))
