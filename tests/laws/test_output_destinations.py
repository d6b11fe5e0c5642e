"""Where results go: devices, links, standard streams, stores, and what lies beside them."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from laws.file_digests import digests
from tools.command import command as command_of


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
