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
from dataclasses import dataclass, field
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
from streamseg.sources import RecordedSource, open_source
from streamseg.wire.envelope import encode_envelope
from tools.forked_commands import CommandForks, Done

RATE = 8_000
PATIENCE_S = 90.0
SPELLINGS = ("{}", "./{}", "sub/../{}", "{cwd}/{}", "/{cwd}/{}", "/proc/self/cwd/{}")
NEW = (
    "new.jsonl", "new.cue", "new.csv", "new.npz", "new.wav", "new", "sub/new.txt", "missing/new.csv", "new.sqlite",
    "s1.wav.marks.jsonl", "history.sqlite-wal", "memory.sqlite.lock", "dangling.jsonl", "x" * 250,
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/full", "-", "sub", "")


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
    list(RecordedSource(Chunks(), folder / "take.wav"))
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


@dataclass
class Line:
    """One command line, and the files of the folder that it names. stdin: None for no input."""

    arguments: list[str]
    read: set[str] = field(default_factory=set)
    write: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)  # to write into
    stores: set[str] = field(default_factory=set)
    stdin: str | None = None
    append_to: str | None = None
    force: bool = False


class Generator:
    """Makes random command lines."""

    def __init__(self, chance: random.Random, folder: Path, files: list[str]) -> None:
        self._chance, self._folder, self._files = chance, folder, files

    def line(self) -> Line:
        """Make one command line."""
        chance = self._chance
        line = Line([])
        commands = {
            "analyze": 10, "export": 10, "features": 5, "split": 8, "serve": 6, "listen": 1, "teach": 2, "names": 1,
            "lessons": 3, "evaluate": 1, "tune": 1,
        }  # fmt: skip
        command = chance.choices(list(commands), list(commands.values()))[0]
        getattr(self, f"_{command}")(line)
        if command in ("analyze", "export", "features", "split", "evaluate", "tune") and chance.random() < 0.5:
            line.arguments.append("--force")
            line.force = True
        line.arguments.insert(0, command)
        if chance.random() < 0.08 and command in ("analyze", "export", "split", "lessons"):
            line.append_to = chance.choice(self._files)
        return line

    def _pick(
        self, names: list[str] | None = None, wanted: tuple[str, ...] = (), *, new: float = 0.0
    ) -> tuple[str, str]:
        """Return a spelling of a file's path, and its name in the folder, or "" for none."""
        chance = self._chance
        if chance.random() < new:
            name = chance.choice(NEW)
        elif chance.random() < 0.04:
            return chance.choice(DEVICES), ""
        else:
            fitting = [name for name in names or self._files if not wanted or name.endswith(wanted)]
            name = chance.choice(fitting if chance.random() < 0.75 else self._files)
        return chance.choice(SPELLINGS).format(name, cwd=self._folder), name

    def _add(
        self, line: Line, option: str | None, into: set[str], wanted: tuple[str, ...] = (), new: float = 0.0
    ) -> None:
        spelled, name = self._pick(None, wanted, new=new)
        if option:
            line.arguments.append(option)
        line.arguments.append(spelled)
        if name:
            into.add(name)

    def _sound(self, line: Line) -> None:
        if self._chance.random() < 0.07:
            line.stdin = self._chance.choice(self._files)
            line.read.add(line.stdin)
            line.arguments.append("-")
        else:
            self._add(line, None, line.read, (".wav", ".flac", ".ogg"))

    def _some(self, line: Line, *options: tuple[str, set[str], tuple[str, ...], float], share: float = 0.15) -> None:
        for option, into, wanted, new in options:
            if self._chance.random() < share:
                self._add(line, option, into, wanted, new)

    def _heard(self, line: Line) -> None:
        self._some(
            line,
            ("--model", line.read, (".npz",), 0.0),
            ("--lessons", line.stores, ("lessons.json",), 0.1),
            share=0.08,
        )

    def _analyze(self, line: Line) -> None:
        self._sound(line)
        self._some(line, ("-o", line.write, (), 0.4), share=0.85)
        self._some(line, ("--memory", line.stores, (".sqlite",), 0.1))
        self._heard(line)
        if self._chance.random() < 0.4:
            line.arguments += ["-f", self._chance.choice(("cue", "csv", "lab", "srt", "jsonl"))]

    def _export(self, line: Line) -> None:
        if self._chance.random() < 0.1:
            line.stdin = self._chance.choice(self._files)
            line.read.add(line.stdin)
            line.arguments.append("-")
        else:
            self._add(line, None, line.read, (".jsonl",))
        self._some(line, ("-o", line.write, (), 0.4), share=0.85)
        line.arguments += ["-f", self._chance.choice(("cue", "csv", "jsonl", "audacity", "webvtt"))]

    def _features(self, line: Line) -> None:
        self._sound(line)
        self._add(line, "-o", line.write, (".npz", ".csv", ".parquet"), 0.4)

    def _split(self, line: Line) -> None:
        self._add(line, None, line.read, (".wav", ".flac", ".ogg"))
        if self._chance.random() < 0.75:
            self._add(line, "--events", line.read, (".jsonl",))
        folder = self._chance.choice(
            ("parts", "parts", "parts", "new", ".", "sub", "notes.txt", "missing/deep", "link.wav")
        )
        line.folders.add(folder)
        line.arguments += ["-o", self._chance.choice(SPELLINGS).format(folder, cwd=self._folder)]
        line.arguments += ["-f", self._chance.choice(("flac", "flac", "wav", "mp3", "ogg"))]
        self._heard(line)

    def _serve(self, line: Line) -> None:
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            self._sound(line)
            if self._chance.random() < 0.3:
                line.arguments[-1] = f"{self._chance.choice('abAB')}={line.arguments[-1]}"
        line.arguments += ["--fast", "--port", "0"]
        self._some(line, ("--save", set(), (".wav",), 0.2), share=0.6)
        if self._chance.random() < 0.3:
            self._add(line, "--history", line.stores, (".sqlite",), 0.2)
        else:
            line.arguments.append("--no-history")
        self._some(line, ("--memory", line.stores, (".sqlite",), 0.1), ("--cert", line.read, (".pem",), 0.0))
        self._heard(line)

    def _listen(self, line: Line) -> None:
        line.arguments += ["--device", "there is no such device"]
        self._some(line, ("--save", set(), (".wav",), 0.2), ("--history", line.stores, (".sqlite",), 0.2), share=0.8)

    def _teach(self, line: Line) -> None:
        self._add(line, None, line.read, (".wav", ".flac"))
        line.arguments += ["--name", "Cue", "--to", "1"]
        self._add(line, "--memory", line.stores, (".sqlite",), 0.1)

    def _names(self, line: Line) -> None:
        self._add(line, "--memory", line.stores, (".sqlite",), 0.1)

    def _lessons(self, line: Line) -> None:
        self._add(line, "--lessons", line.stores, (".json",), 0.1)
        if self._chance.random() < 0.7:
            line.arguments.append("--forget")

    def _evaluate(self, line: Line) -> None:
        line.arguments.append("songs")
        line.read |= {"songs/x.wav", "songs/x.sections.tsv"}
        self._some(line, ("--csv", line.write, (), 0.4), ("--model", line.read, (".npz",), 0.0), share=0.8)

    def _tune(self, line: Line) -> None:
        line.arguments.append("songs")
        line.read |= {"songs/x.wav", "songs/x.sections.tsv"}
        self._add(line, "-o", line.write, (".npz",), 0.4)


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
    if "Traceback" in done.stderr or "not foreseen" in done.stderr or "Exception ignored" in done.stderr:
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
