"""Random command lines over the files of a folder."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

SPELLINGS = ("{}", "./{}", "sub/../{}", "{cwd}/{}", "/{cwd}/{}", "/proc/self/cwd/{}")
NEW = (
    "new.jsonl", "new.cue", "new.csv", "new.npz", "new.wav", "new", "sub/new.txt", "missing/new.csv", "new.sqlite",
    "s1.wav.marks.jsonl", "history.sqlite-wal", "memory.sqlite.lock", "dangling.jsonl", "x" * 250,
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/full", "-", "sub", "")


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
