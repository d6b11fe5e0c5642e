"""Random command lines over a folder of sound, events, databases, models and links; no existing file may be lost.

The content of every file is compared before and after each command. It may differ only if the command was told to write
the file (`--force`, a database or feedback file, standard output appended to it) and does not read it. Each command is
a fork of one warm process (`tools.forked_commands`), in a new folder.

    python -m tools.hostile.command_lines --runs 2000 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from streamseg.blocks import Block, Gap
from streamseg.engine.models.loader import load_boundary_model
from streamseg.engine.named_sounds import NamedSound
from streamseg.history.database import open_history
from streamseg.live.name_store import NameStore
from streamseg.live.session import Session
from streamseg.settings import make_settings
from streamseg.sources import CapturingSource, open_source
from streamseg.wire.envelope import encode_envelope
from tools.forked_commands import CommandForks, Done
from tools.hostile.command_line_generator import Generator, Line

RATE = 8_000
PATIENCE_S = 90.0


class Chunks:
    """A source for the capture with marks."""

    name = "mic"
    dropped_samples = 40

    def __iter__(self):
        tone = np.sin(np.arange(RATE) / 5.0).astype(np.float32)[:, None]
        yield from (Block(tone, RATE), Gap(40, "overflow"), Block(tone, RATE))

    def close(self) -> None:
        pass


def make_folder(folder: Path) -> None:
    """Make the files that a command line can name."""
    chance = np.random.default_rng(7)
    for number, name in enumerate(("s1.wav", "s2.flac", "s3.ogg")):
        soundfile.write(folder / name, 0.1 * chance.standard_normal(int(RATE * (1.5 + number / 4))), RATE)
    list(CapturingSource(Chunks(), folder / "take.wav"))
    for name in ("s1.wav", "s2.flac"):
        hearing = Session(Path(name).stem, open_source(str(folder / name)), make_settings("music"))
        lines = b"".join(encode_envelope(event) + b"\n" for events in hearing for event in events)
        (folder / f"{Path(name).stem}.jsonl").write_bytes(lines)
    (folder / "notes.txt").write_text("neither sound nor events\n" * 20)
    (folder / "broken.jsonl").write_bytes((folder / "s1.jsonl").read_bytes()[:700] + b"\xff\x00{")
    (folder / "empty").touch()
    (folder / "zero.bin").write_bytes(bytes(5000))
    open_history(folder / "history.sqlite").close()
    memory = NameStore(folder / "memory.sqlite")
    memory.add_entry(NamedSound(name="Jingle", kind="section", content=b"x"))
    with contextlib.closing(sqlite3.connect(folder / "foreign.sqlite")) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")
        database.execute("INSERT INTO bookmarks VALUES ('somewhere')")
        database.commit()
    mark = {"moved": [0, 0, 0, 0], "log_odds": 0.0, "right": True, "epoch": "e", "t": 1.0}
    (folder / "lessons.json").write_text(json.dumps({"music": [mark]}))
    load_boundary_model("music").save(folder / "mine.npz")
    (folder / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (folder / "history.sqlite.lock").write_bytes(b"1")
    (folder / "poetry.lock").write_text("of somebody else")
    (folder / "sub").mkdir()
    (folder / "songs").mkdir()
    soundfile.write(folder / "songs" / "x.wav", 0.1 * chance.standard_normal(3 * RATE), RATE)
    (folder / "songs" / "x.sections.tsv").write_text("0\t1.5\tA\n1.5\t3\tB\n")
    (folder / "parts").mkdir()
    shutil.copy(folder / "s2.flac", folder / "parts" / "1 A 1.flac")
    (folder / "parts" / "1 A 1.wav").write_text("a part of another day")
    (folder / "dangling.jsonl").symlink_to("sub/target.jsonl")


LINKS = {"link.wav": "s1.wav", "link.jsonl": "s1.jsonl", "link.npz": "mine.npz", "parts/1 A 1.ogg": "s3.ogg"}
HARD_LINKS = {"hard.wav": "s1.wav", "hard.jsonl": "s1.jsonl", "hard.csv": "s2.flac", "parts/1 A 1.mp3": "s3.ogg"}


def link_files(folder: Path) -> None:
    """Link some files under other names; `copytree` would copy hard links as separate files."""
    for name, target in LINKS.items():
        (folder / name).symlink_to(folder / target)
    for name, target in HARD_LINKS.items():
        (folder / name).hardlink_to(folder / target)


def contents(folder: Path) -> dict[str, tuple[str, str]]:
    """Map each file to the target of its links and a digest of its content."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink()) if path.is_symlink() else "",
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_lost(store: Path) -> bool:
    """Tell whether a database lacks rows that it had."""
    if store.name == "memory.sqlite":
        return "Jingle" not in {entry.name for entry in NameStore(store).list_entries()}
    if store.name == "history.sqlite":
        with contextlib.closing(sqlite3.connect(store)) as database:
            return not database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'event'").fetchone()[0]
    return True


def identity(folder: Path, name: str) -> tuple[int, int] | str:
    try:
        found = (folder / name).stat()
    except OSError:
        return name
    return found.st_dev, found.st_ino


def faults(
    line: Line, done: Done, folder: Path, before: dict[str, tuple[str, str]], ids: dict[str, object]
) -> list[str]:
    """Return what the command did that no command may do."""
    found = []
    if done.returncode is None:
        found.append("did not end")
    elif done.returncode not in (0, 1, 2):
        found.append(f"ended with {done.returncode}")
    if "Traceback" in done.stderr or "--debug COMMAND" in done.stderr or "Exception ignored" in done.stderr:
        found.append("traceback")
    after = contents(folder)
    read = {ids.get(name, name) for name in line.read}
    written = {ids.get(name, name) for name in line.write} if line.force else set()
    if line.append_to is not None:
        written.add(ids[line.append_to])
    for name in before:
        if after.get(name) == before[name]:
            continue
        if ids[name] in written - read:
            continue
        names = [other for other in before if ids[other] == ids[name]]  # it may be written through a link
        if line.force and ids[name] not in read and any(str(Path(each).parent) in line.folders for each in names):
            continue
        store = next((store for store in line.stores if ids.get(store) == ids[name]), None)
        if store == "lessons.json" and "--forget" in line.arguments:
            continue
        if name.endswith((".lock", "-wal", "-shm")) and name.rpartition(".lock")[0] in line.stores:
            continue
        if store is not None and not rows_lost(folder / name):
            continue
        found.append(f"destroyed {name}")
    found += [f"left {name}" for name in after if Path(name).name.startswith(".streamseg-")]
    return found


def run_one(number: int, seed: int, pristine: Path, place: Path, commands: CommandForks) -> tuple[str, list[dict]]:
    """Run one command line in a folder of its own; returns its exit code and its faults."""
    folder, data = place / "run", place / "data"
    for old in (folder, data):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(pristine, folder, symlinks=True)
    link_files(folder)
    before = contents(folder)
    ids: dict[str, object] = {name: identity(folder, name) for name in before}
    line = Generator(random.Random(f"{seed} {number}"), folder, sorted(before)).line()
    done = commands.run(
        *line.arguments,
        cwd=folder,
        stdin=folder / line.stdin if line.stdin else os.devnull,
        append_to=folder / line.append_to if line.append_to else None,
        env={"XDG_DATA_HOME": str(data)},
        patience_s=PATIENCE_S,
    )
    bad = [
        {"run": number, "fault": fault, "line": line.arguments, "stderr": done.stderr[-1500:]}
        for fault in faults(line, done, folder, before, ids)
    ]
    return str(done.returncode), bad


def campaign(runs: int, seed: int, *, jobs: int = 1, report: bool = False) -> dict:
    """Run random command lines; returns counts and faults. report: print each fault at once, and the progress."""
    codes: Counter[str] = Counter()
    bad: list[dict] = []
    began = time.monotonic()
    numbers = iter(range(runs))
    with tempfile.TemporaryDirectory() as place:
        pristine = Path(place, "pristine")
        pristine.mkdir()
        make_folder(pristine)

        def work(worker: int) -> None:
            own = Path(place, str(worker))
            own.mkdir()
            with CommandForks() as commands:
                for number in numbers:
                    code, found = run_one(number, seed, pristine, own, commands)
                    codes[code] += 1
                    bad.extend(found)
                    for each in found if report else ():
                        print(json.dumps(each), file=sys.stderr)
                    if report and number % 100 == 99:
                        print(f"{number + 1} runs, {len(bad)} faults, codes {dict(codes)}", file=sys.stderr)

        with ThreadPoolExecutor(jobs) as workers:
            list(workers.map(work, range(jobs)))
    return {
        "runs": sum(codes.values()),
        "seed": seed,
        "destroyed": sum(each["fault"].startswith("destroyed") for each in bad),
        "tracebacks": sum(each["fault"] == "traceback" for each in bad),
        "faults": bad,
        "exit_codes": dict(sorted(codes.items())),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    found = campaign(options.runs, options.seed, jobs=options.jobs, report=True)
    found["faults"] = len(found["faults"])
    print(json.dumps(found))
    return bool(found["faults"])


if __name__ == "__main__":
    sys.exit(main())
