"""Fills the disk of a running server, kills it while nothing can be stored, makes room, and compares.

The disk is a small tmpfs; mounting it needs root, or a namespace in which we are root (`unshare -rm`). However a server
ends, no offset may be used for two events, and a client that was told that it recovered everything must have no holes.

    python -m tools.load.full_disk --rounds 30
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from streamseg.client.protocol import StreamJoined
from streamseg.client.subscription import Subscription, subscribe
from streamseg.wire.envelope import Envelope, encode_envelope

DISK_BYTES = 96 * 2**20
STEPS_PER_S = 300
NOT_ALLOWED = 77  # an exit code of its own


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system. Raises CalledProcessError where mounting is not allowed."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder], check=True, capture_output=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Hearer:
    """A client and the events that it received, in runs between which it was told that events are missing."""

    def __init__(self, port: int) -> None:
        self.subscription: Subscription = subscribe(f"ws://127.0.0.1:{port}/ws", min_state="provisional")
        self.runs: list[list[Envelope]] = [[]]

    async def run(self) -> None:
        async with contextlib.aclosing(self.subscription.messages()) as messages:
            async for message in messages:
                if isinstance(message, Envelope):
                    self.runs[-1].append(message)
                elif isinstance(message, StreamJoined) and not message.is_recovered:
                    self.runs.append([])

    @property
    def holes(self) -> int:
        """Return the events that are missing within runs that should be complete."""
        return sum(
            after.offset != (before.offset + 1 if after.epoch == before.epoch else 1)
            for run in self.runs
            for before, after in itertools.pairwise(run)
        )


class Station:
    """A server process on the small disk."""

    def __init__(self, history: Path) -> None:
        self.history = history
        self.port = 0
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tools.load.event_feed", "--history", self.history, "--port", str(self.port),
            "--steps-per-s", str(STEPS_PER_S), "--heartbeat-s", "0.2", "--retry-s", "0.2",
            cwd=Path(__file__).parents[2], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(60):
            self.port = int((await self.process.stdout.readline()).split()[1])

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


def fill(file: Path) -> None:
    """Write to the file until the disk is full."""
    with file.open("ab", buffering=0) as filler:
        for piece_bytes in (2**20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(piece_bytes))


async def rounds(options: argparse.Namespace, folder: Path) -> dict:
    """Fill the disk, and kill the server in some of the rounds; returns the findings."""
    chance = random.Random(options.seed)
    filler = folder / "filler"
    station = Station(folder / "history.sqlite")
    await station.start()
    began = time.monotonic()
    witness = Hearer(station.port)
    hearers = [witness, *(Hearer(station.port) for _ in range(options.listeners - 1))]
    hearing = [asyncio.create_task(hearer.run()) for hearer in hearers]
    kills = unkept = 0

    async def until(*, kept: bool) -> None:
        async with asyncio.timeout(60):
            while witness.subscription.is_recorded.get("mic") is not kept:
                await asyncio.sleep(0.02)

    async def leave(probability: float) -> set[int]:
        some = {n for n in range(1, len(hearers)) if chance.random() < probability}
        for n in some:
            hearing[n].cancel()
        await asyncio.sleep(chance.uniform(0, 0.5))
        return some

    for number in range(options.rounds):
        await until(kept=True)
        # Some leave before, some while nothing is recorded: none of them may believe that they have everything.
        away = await leave(0.4)
        fill(filler)
        await until(kept=False)
        unkept += 1
        away |= await leave(0.4)
        kind = number % 3
        if kind:
            await station.kill()
            kills += 1
            witness.subscription.is_recorded.clear()
        if kind == 1:
            filler.unlink()
        if kind:
            await station.start()
        for n in away:
            hearing[n] = asyncio.create_task(hearers[n].run())
        if kind != 1:
            if kind == 2:
                await until(kept=False)
            await asyncio.sleep(chance.uniform(0, 0.3))
            filler.unlink()
    await until(kept=True)
    await asyncio.sleep(1)
    await station.kill()
    for task in hearing:
        task.cancel()
    await asyncio.gather(*hearing, return_exceptions=True)
    texts: dict[tuple[str, int], set[bytes]] = {}
    for hearer in hearers:
        for run in hearer.runs:
            for envelope in run:
                texts.setdefault((envelope.epoch, envelope.offset), set()).add(encode_envelope(envelope))
    return {
        "rounds": options.rounds,
        "kills_while_full": kills,
        "times_full": unkept,
        "events_heard": sum(len(run) for hearer in hearers for run in hearer.runs),
        "epochs": len({epoch for epoch, _ in texts}),
        "told_of_a_loss": sum(len(hearer.runs) - 2 for hearer in hearers),
        "offsets_used_twice": sum(len(some) > 1 for some in texts.values()),
        "holes": sum(hearer.holes for hearer in hearers),
        "seconds": round(time.monotonic() - began, 1),
    }


def failed(found: dict) -> bool:
    return bool(found["offsets_used_twice"] or found["holes"] or found["epochs"] < found["rounds"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--listeners", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if os.geteuid() != 0:
        unshare = shutil.which("unshare") or "unshare"
        os.execv(unshare, [unshare, "-rm", sys.executable, "-m", "tools.load.full_disk", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as disks:
        try:
            disks.enter_context(small_disk(Path(folder)))
        except subprocess.CalledProcessError as error:
            print("nothing can be mounted here:", error.stderr.decode().strip(), file=sys.stderr)
            return NOT_ALLOWED
        found = asyncio.run(rounds(options, Path(folder)))
    print(json.dumps(found))
    return failed(found)


if __name__ == "__main__":
    sys.exit(main())
