"""Law 9, an input is never an output: every parameter of every command that takes a path, found in the program."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from laws.file_digests import digests
from streamseg.cli.app import app

COMMANDS = typer.main.get_command(app).commands

# What each parameter that takes a path is to its command. A new one must be entered here, or a test fails.
READ = {
    ("analyze", "file"): "s1.wav",
    ("analyze", "model"): "mine.npz",
    ("serve", "sources"): "s1.wav",
    ("serve", "model"): "mine.npz",
    ("serve", "cert"): "cert.pem",
    ("serve", "key"): "cert.pem",
    ("listen", "model"): "mine.npz",
    ("export", "events"): "s1.jsonl",
    ("split", "file"): "s1.wav",
    ("split", "events"): "s1.jsonl",
    ("split", "model"): "mine.npz",
    ("features", "file"): "s1.wav",
    ("teach", "file"): "s1.wav",
    ("evaluate", "folder"): "songs/x.wav",
    ("evaluate", "model"): "mine.npz",
    ("tune", "folder"): "songs/x.wav",
    ("tune", "model"): "mine.npz",
}

STORES = {
    (command, store): {"history": "history.sqlite", "memory": "memory.sqlite", "feedback": "lessons.json"}[store]
    for command, stores in {
        "analyze": ("memory", "feedback"),
        "serve": ("history", "memory", "feedback"),
        "listen": ("history", "memory", "feedback"),
        "split": ("feedback",),
        "teach": ("memory",),
        "names": ("memory",),
        "feedback": ("feedback",),
        "lessons": ("feedback",),  # the old name of that command
    }.items()
    for store in stores
}

# How the destination is named, and the file that is then written.
WRITTEN = {
    ("analyze", "out"): ("w.jsonl", "w.jsonl"),
    ("export", "out"): ("w.jsonl", "w.jsonl"),
    ("features", "out"): ("w.csv", "w.csv"),
    ("tune", "out"): ("w.npz", "w.npz"),
    ("evaluate", "csv"): ("w.csv", "w.csv"),
    ("evaluate", "pictures"): ("w", "w/x.png"),
    ("split", "folder"): ("w", "w/1 A 1.flac"),
    ("serve", "save"): ("w.wav", "w.wav"),
    ("listen", "save"): ("w.wav", "w.wav"),
}

NEEDED = {  # what else a command takes to come as far as writing
    "analyze": {"file": "s1.wav"},
    "serve": {"sources": "s1.wav", "port": "0", "no_history": None, "fast": None},
    "listen": {"device": "there is none", "no_history": None},
    "export": {"events": "s1.jsonl", "format_": "jsonl"},
    "split": {"file": "s1.wav", "events": "s1.jsonl"},
    "features": {"file": "s1.wav"},
    "teach": {"file": "s1.wav", "name": "Cue", "memory": "new.sqlite"},
    "evaluate": {"folder": "songs"},
    "tune": {"folder": "songs", "out": "new.npz"},
    "names": {},
    "feedback": {"forget": None},
    "lessons": {"forget": None},
}


def takes_a_path(parameter, hint) -> bool:
    return "pathlib" in str(hint) or bool(re.match(r"(FILE|SOURCE|PATH|DIR|FOLDER|OUT)\b", parameter.metavar or ""))


def arguments(command: str, values: dict[str, str | None]) -> list[str]:
    """A command line with these parameters; `None` for flags."""
    options, places = [], []
    for parameter in COMMANDS[command].params:
        if parameter.name not in values:
            continue
        value = values[parameter.name]
        if parameter.param_type_name == "argument":
            places.append(value)
        else:
            options += [max(parameter.opts, key=len)] + ([] if value is None else [value])
    return [command, *places, *options]


def test_every_parameter_that_takes_a_path_has_its_part():
    hints = {each.name: get_type_hints(each.callback) for each in app.registered_commands}
    found = {
        (command, parameter.name)
        for command, each in COMMANDS.items()
        for parameter in each.params
        if takes_a_path(parameter, hints[command][parameter.name])
    }
    assert found == READ.keys() | STORES.keys() | WRITTEN.keys()


COLLISIONS = [(written, read) for written in WRITTEN for read in {**READ, **STORES} if written[0] == read[0]]


@pytest.mark.parametrize(("written", "read"), COLLISIONS, ids=lambda pair: " ".join(pair))
def test_what_is_read_is_never_written_forced_or_not(commands, folder: Path, written, read):
    """Under its own name, as a hard link, through a link: refused, and every file is as it was."""
    command, destination = written
    asked, path = WRITTEN[written]
    source = {**READ, **STORES}[read]
    folder_read = (command, read[1]) in (("evaluate", "folder"), ("tune", "folder"))
    main = read[1] in ("file", "sources", "events")
    for way in ("hard link", "link") if folder_read else ("itself", "hard link", "link") if main else ("itself",):
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        if way == "link":
            target.symlink_to(folder / source)
        else:
            target.hardlink_to(folder / source)
        values = {**NEEDED[command], destination: asked}
        if read in STORES and read[1] == "history":
            values.pop("no_history")
        if not folder_read:
            values[read[1]] = path if way == "itself" else source
        if "force" in {parameter.name for parameter in COMMANDS[command].params}:
            values["force"] = None
        before = digests(folder)
        done = commands.run(*arguments(command, values), cwd=folder, env={"XDG_DATA_HOME": str(folder / "data")})
        assert done.returncode == 2, (way, done)
        assert "this command reads it" in done.stderr, (way, done)
        assert digests(folder) == before, way


@pytest.mark.parametrize("written", WRITTEN, ids=" ".join)
def test_another_existing_file_is_left_alone_unless_told(commands, folder: Path, written):
    command, destination = written
    asked, path = WRITTEN[written]
    target = folder / path
    target.parent.mkdir(exist_ok=True)
    target.write_text("of yesterday")
    values = {**NEEDED[command], destination: asked}
    done = commands.run(*arguments(command, values), cwd=folder, env={"XDG_DATA_HOME": str(folder / "data")})
    assert target.read_text() == "of yesterday"
    assert "Traceback" not in done.stderr
    if destination == "save":
        if command == "serve":  # there is no microphone here
            assert done.returncode == 0, done
            assert (folder / "w-2.wav").stat().st_size > 10_000
            assert "w-2.wav" in done.stderr
        return
    assert done.returncode == 2, done
    assert "--force" in done.stderr
    if command not in ("tune", "evaluate"):  # they take their time
        done = commands.run(*arguments(command, {**values, "force": None}), cwd=folder)
        assert done.returncode == 0, done
        assert target.read_bytes() != b"of yesterday"
    assert not list(folder.rglob(".streamseg-*"))


@pytest.mark.parametrize(("command", "store"), STORES, ids=[" ".join(pair) for pair in STORES])
def test_a_store_that_is_a_strangers_file_is_left_alone(commands, folder: Path, command, store):
    for name in ("s3.ogg", "foreign.sqlite" if store != "feedback" else "s1.jsonl"):
        values = {**NEEDED[command], store: name}
        values.pop("no_history", None)
        before = digests(folder)
        done = commands.run(*arguments(command, values), cwd=folder, env={"XDG_DATA_HOME": str(folder / "data")})
        after = digests(folder)
        assert {each: after.get(each) for each in before} == before, name
        assert not list(folder.glob("*.aside-*"))
        if (command, store) != ("split", "feedback"):  # not looked at when events are given
            assert done.returncode == 2, (name, done)
        assert "Traceback" not in done.stderr
