"""An input is never an output: every option and argument of every command that takes a path, found in the program."""

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from streamseg.cli.app import app
from tools.command import command as command_of
from tools.hostile.command_lines import campaign, make_folder

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


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("law9")
    make_folder(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "f", symlinks=True)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".lock", "-wal", "-shm"))
    }


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


def test_what_lies_beside_a_history_is_left_alone(commands, folder: Path):
    (folder / "take-wal").write_text("a file of somebody else")
    for history, beside in (("poetry", "poetry.lock"), ("take", "take-wal")):
        before = (folder / beside).read_bytes()
        done = commands.run("serve", "s1.wav", "--fast", "--port", "0", "--history", history, cwd=folder)
        assert done.returncode == 2, done
        assert beside in done.stderr
        assert (folder / beside).read_bytes() == before


def test_two_stores_are_not_one_file(commands, folder: Path):
    for history in ("both.sqlite", "sub/../both.sqlite"):
        done = commands.run(
            "serve", "s1.wav", "--fast", "--port", "0", "--history", history, "--memory", "both.sqlite", cwd=folder
        )
        assert done.returncode == 2, done
        assert not (folder / "both.sqlite").exists()


def test_standard_streams_do_not_go_into_what_is_read(commands, folder: Path):
    before = digests(folder)
    for line, options in (
        (("export", "s1.jsonl", "-f", "jsonl"), {"append_to": folder / "s1.jsonl"}),
        (("analyze", "-", "-o", "s1.wav", "--force"), {"stdin": folder / "s1.wav"}),
        (("export", "-", "-f", "lab", "-o", "/proc/self/fd/0", "--force"), {"stdin": folder / "s1.jsonl"}),
        (("analyze", "s1.wav", "-o", "/dev/stdout"), {"append_to": folder / "s1.wav"}),
    ):
        done = commands.run(*line, cwd=folder, **options)
        assert done.returncode == 2, done
        assert digests(folder) == before


def test_devices_and_descriptors_are_written_straight(commands, folder: Path):
    whole = commands.run("export", "s1.jsonl", "-f", "lab", cwd=folder).stdout
    assert commands.run("export", "s1.jsonl", "-f", "lab", "-o", "/dev/stdout", cwd=folder).stdout == whole
    appended = folder / "two.lab"
    for _ in range(2):
        appended.touch()
        commands.run("export", "s1.jsonl", "-f", "lab", "-o", "/dev/stdout", cwd=folder, append_to=appended)
    assert appended.read_text() == 2 * whole
    assert commands.run("analyze", "s1.wav", "-o", os.devnull, cwd=folder).returncode == 0
    assert Path(os.devnull).is_char_device()


def test_a_link_stays_and_its_file_is_replaced(commands, folder: Path):
    old = folder / "old.lab"
    old.write_text("old")
    old.chmod(0o640)
    (folder / "link.lab").symlink_to(old)
    line = ("export", "s1.jsonl", "-f", "lab", "-o", "link.lab")
    assert commands.run(*line, cwd=folder).returncode == 2
    assert commands.run(*line, "--force", cwd=folder).returncode == 0
    assert (folder / "link.lab").is_symlink()
    assert old.read_text().startswith("0.0")
    assert old.stat().st_mode & 0o777 == 0o640
    assert commands.run("export", "s1.jsonl", "-f", "lab", "-o", "dangling.jsonl", cwd=folder).returncode == 0
    assert (folder / "sub" / "target.jsonl").exists()


def test_results_of_one_run_are_not_one_file(commands, folder: Path):
    done = commands.run("evaluate", "songs", "--csv", "seen/x.png", "--pictures", "seen", cwd=folder)
    assert done.returncode == 2
    assert "two results" in done.stderr
    for name in ("a", "b"):
        shutil.copy(folder / "s1.wav", folder / "sub" / f"{name}.wav")
    done = commands.run(
        "serve", "x=sub/a.wav", "x-2=sub/b.wav", "--fast", "--port", "0", "--no-history", "--save", "kept", cwd=folder
    )
    assert done.returncode == 0, done
    assert sorted(path.name for path in (folder / "kept").iterdir()) == ["x-2.wav", "x.wav"]


def test_on_a_terminal_the_user_is_asked(folder: Path):
    pty = pytest.importorskip("pty")
    for answer, code in ((b"n\n", 2), (b"y\n", 0)):
        old = folder / "old.lab"
        old.write_text("old")
        user, terminal = pty.openpty()
        try:
            line = command_of("export", "s1.jsonl", "-f", "lab", "-o", "old.lab")
            with subprocess.Popen(line, cwd=folder, stdin=terminal, stderr=terminal) as export:
                os.write(user, answer)
                assert export.wait(60) == code
            said = os.read(user, 10_000).decode()
        finally:
            os.close(user)
            os.close(terminal)
        assert "old.lab exists; replace? [y/N]" in said
        assert (old.read_text() == "old") == (code == 2)


def test_foreign_databases_may_be_open_elsewhere(commands, folder: Path):
    """One whose tables stand only in its write-ahead log so far."""
    with contextlib.closing(sqlite3.connect(folder / "busy.sqlite")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE bookmarks (url TEXT)")
        database.commit()
        done = commands.run("names", "--memory", "busy.sqlite", cwd=folder)
        assert done.returncode == 2, done


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("analyze", ""), 2),
        (("split", "-", "--events", "s1.jsonl", "-o", "parts", "--force"), 2),
        (("split", "/dev/null", "--events", "s1.jsonl", "-o", "parts", "--force"), 2),
        (("serve", "s1.wav", "--history", ""), 2),
        (("lessons", "--lessons", "/dev/full", "--forget"), 2),
        (("names", "--memory", "x" * 250), 0),
        (("serve", "s1.wav", "--fast", "--port", "0", "--history", "x" * 250), 1),
        (("analyze", "s1.wav", "-o", "x" * 300), 1),
        (("serve", "s1.wav", "--fast", "--cert", "/dev/zero", "--no-history"), 2),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_command_lines_that_once_crashed_or_hung(commands, folder: Path, line, code):
    done = commands.run(*line, cwd=folder, patience_s=30)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "--debug COMMAND" not in done.stderr


def test_a_playlist_never_comes_to_the_ffmpeg_program(commands, folder: Path, tmp_path: Path):
    """It names itself: that program would follow it until all memory is used."""
    playlist = tmp_path / "self.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nself.m3u8\n")
    parts = tmp_path / "parts"
    done = commands.run("split", playlist, "--events", "s1.jsonl", "-o", parts, "--force", cwd=folder, patience_s=30)
    assert done.returncode == 1
    assert "is a playlist" in done.stderr
    assert not parts.exists()


def test_random_command_lines_destroy_nothing():
    found = campaign(40, seed=2, jobs=1)
    assert found["faults"] == []
    assert found["exit_codes"].keys() <= {"0", "1", "2"}
