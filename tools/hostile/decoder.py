"""Damaged files, playlists that name other places, and pipes without data: none may end the program.

    python -m tools.hostile.decoder [--files 5000] [--playlists 500] [--blocked 200] [--seed 1] [--keep FOLDER]

All of them are decoded in this process, several at a time, while another stream plays in real time. Prints a line every
250 files and a summary. Exit code 1 if a file hung, the other stream lost a sample, a playlist was followed, this
process grew by more than 50 MB, or a child exceeded its limit. With --keep, files whose decoder crashed are moved to
that folder.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streamseg.blocks import Block
from streamseg.errors import StreamsegError
from streamseg.sources import AudioFileSource, PacedSource
from streamseg.sources.decoder import MEMORY_BYTES
from tools.command import command
from tools.hostile.files import RECIPES, Corpus, playlist
from tools.hostile.witness import Peak, Witness

PATIENCE_S = 60.0  # with one file; then it is closed, as Ctrl-C does
HANG_S = 10.0  # from being closed to having ended
MOST_GROWTH_MB = 50.0
AT_ONCE = 8
COMMANDS = 6  # of the blocked inputs are given to the command itself, which takes seconds to load


class Result:
    """The result of one file."""

    def __init__(self, path: Path) -> None:
        self.samples, self.outcome, self.closed, self.hung = 0, "whole", False, False
        source: AudioFileSource | None = None
        timer: threading.Timer | None = None
        closed_at = 0.0

        def close() -> None:
            nonlocal closed_at
            self.closed, closed_at = True, time.monotonic()
            if source is not None:
                source.close()

        try:
            source = AudioFileSource(path)
            timer = threading.Timer(PATIENCE_S, close)
            timer.start()
            for item in source:
                if isinstance(item, Block):
                    self.samples += len(item.samples)
        except StreamsegError as error:
            self.outcome = outcome(str(error), type(error).__name__)
        finally:
            if timer is not None:
                timer.cancel()
        self.hung = self.closed and time.monotonic() - closed_at > HANG_S


def outcome(message: str, kind: str) -> str:
    if "cannot be decoded: " in message:  # a fault of ours
        return "fault: " + message.rpartition("cannot be decoded: ")[2]
    for sign, name in (("crashed", "crash"), ("memory", "memory"), ("busy", "spinning"), ("claims", "impossible")):
        if sign in message:
            return f"{name}: {message.rpartition('(')[2].rstrip(')')}" if name == "crash" else name
    return kind


def decode_damaged(
    folder: Path, corpus: Corpus, args: argparse.Namespace, peak: Peak
) -> tuple[collections.Counter, int]:
    """Decode mutated files; returns how they ended, and how many hung."""
    outcomes: collections.Counter[str] = collections.Counter()
    hung = 0

    def one(number: int) -> tuple[str, Path, Result]:
        name, data = corpus.mutant(args.seed, number)
        path = folder / name
        path.write_bytes(data)
        return name, path, Result(path)

    for name in RECIPES:  # all are kept in memory, which is not to count as growth
        corpus.content(name)
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done, (name, path, result) in enumerate(pool.map(one, range(args.files)), 1):
            outcomes[result.outcome] += 1
            hung += result.hung
            if result.closed:
                outcomes["closed after a minute"] += 1
                print(f"  {name}: closed after {PATIENCE_S:.0f} s, {result.samples} samples", flush=True)
            if result.outcome.startswith(("crash", "memory", "spinning", "fault")):
                print(f"  {name}: {result.outcome} after {result.samples} samples", flush=True)
                if args.keep:
                    path.rename(args.keep / name)
            path.unlink(missing_ok=True)
            peak.look(done)
            if done % 250 == 0:
                took_s = time.monotonic() - began
                print(f"{done} files in {took_s:.0f} s: {dict(outcomes)}, {peak.now_mb:.0f} MB", flush=True)
    return outcomes, hung


def decode_playlists(folder: Path, corpus: Corpus, args: argparse.Namespace) -> tuple[int, int]:
    """Decode playlists; returns how many gave sound or a connection, and how many hung."""
    other = "other.mp3"
    (folder / other).write_bytes(corpus.content("stereo.mp3"))
    called = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        ending = threading.Event()

        def answer() -> None:
            while not ending.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                except OSError:  # all lists have been tried
                    return
                called.append(connection)
                connection.close()

        threading.Thread(target=answer, daemon=True).start()

        def one(number: int) -> Result:
            ending_of = random.Random(f"{args.seed}/{number}").choice(
                [".m3u8", ".m3u", ".sdp", ".mpd", ".mp3", ".wav", ".ogg", ".flac", ".ffconcat", ".idx", ""]
            )
            path = folder / f"list{number}{ending_of}"
            path.write_text(playlist(args.seed, number, path.name, other, port), encoding="utf-8")
            result = Result(path)
            path.unlink()
            return result

        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(one, range(args.playlists)))
        ending.set()
    followed = sum(result.samples > 0 for result in results) + len(called)
    return followed, sum(result.hung or result.closed for result in results)


def close_blocked(folder: Path, corpus: Corpus, args: argparse.Namespace) -> tuple[int, float]:
    """Read pipes that deliver nothing or little; returns how many did not close, and the longest time to close."""
    whole = corpus.content("s16.wav"), corpus.content("bare.mp3"), corpus.content("vorbis.ogg")

    def one(number: int) -> float:
        rng = random.Random(f"pipe {args.seed}/{number}")
        path = folder / f"pipe{number}"
        os.mkfifo(path)
        data = rng.choice(whole)
        kind = rng.choice(["no writer", "silent", "header", "half", "drips"])
        ending = threading.Event()

        def write() -> None:
            try:
                with path.open("wb", buffering=0) as pipe:
                    if kind == "header":
                        pipe.write(data[:60])
                    elif kind == "half":
                        pipe.write(data[: len(data) // 2])
                    while not ending.wait(0.02):
                        if kind == "drips":
                            pipe.write(rng.randbytes(1) if rng.random() < 0.1 else data[:1])
            except OSError:
                pass  # nobody reads any more

        if kind != "no writer":
            threading.Thread(target=write, daemon=True).start()
        if number < COMMANDS:
            took_s = measure_interrupt(path)
        else:
            source = AudioFileSource(path)
            played = PacedSource(source, "pipe") if rng.random() < 0.5 else source
            closed_at = [0.0]

            def close() -> None:
                closed_at[0] = time.monotonic()
                played.close()

            threading.Timer(rng.uniform(0, 1.0), close).start()
            try:
                for _ in played:
                    pass
            except StreamsegError:
                pass
            took_s = time.monotonic() - closed_at[0] if closed_at[0] else 0.0
        ending.set()
        path.unlink()
        return took_s

    with ThreadPoolExecutor(AT_ONCE) as pool:
        took = list(pool.map(one, range(args.blocked)))
    return sum(seconds > HANG_S for seconds in took), max(took, default=0.0)


def measure_interrupt(path: Path) -> float:
    """Return the seconds from Ctrl-C to the end of the command."""
    with subprocess.Popen(
        command("analyze", path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as run:
        time.sleep(5)
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        try:
            run.wait(60)
        except subprocess.TimeoutExpired:
            run.kill()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--playlists", type=int, default=500)
    parser.add_argument("--blocked", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        corpus, witness, peak = Corpus(folder), Witness(folder), Peak()
        witness.start()
        outcomes, hung = decode_damaged(folder, corpus, args, peak)
        child_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        followed, lists_hung = decode_playlists(folder, corpus, args)
        print(f"{args.playlists} playlists: {followed} followed, {lists_hung} hung", flush=True)
        pipes_hung, longest_s = close_blocked(folder, corpus, args)
        print(f"{args.blocked} pipes: {pipes_hung} hung, the longest took {longest_s:.1f} s to end", flush=True)
        witness.ending.set()
        witness.join(30)
    print(f"{args.files} files, seed {args.seed}, {time.monotonic() - began:.0f} s: {dict(outcomes)}")
    print(f"not made by this ffmpeg: {corpus.missing or 'none'}")
    print("deaths of this process: 0 (it says so itself)")
    print(f"hangs: {hung + lists_hung + pipes_hung}; playlists followed: {followed}")
    print(f"grew by {peak.growth_mb:.1f} MB from {peak.first_mb:.0f} MB; the largest child: {child_mb:.0f} MB")
    print(f"witness: {witness.heard / 48_000:.0f} s heard, {witness.lost} samples lost, {witness.wrong} wrong")
    faults = hung + lists_hung + pipes_hung + followed + witness.lost + witness.wrong
    limit_mb = (MEMORY_BYTES >> 20) + 100  # code and shared slots are not counted by the limit
    sys.exit(1 if faults or peak.growth_mb > MOST_GROWTH_MB or child_mb > limit_mb else 0)


if __name__ == "__main__":
    main()
