"""Files and databases that are no history of ours are refused, and stay as they are."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest
from integration.history.history_files import foreign, hashes, truncate

from streamseg.errors import UsageError
from streamseg.history.database import open_history
from streamseg.server import Hub, serve
from tools.command import run

NOT_OURS = {
    "database": lambda path: foreign(path, wal=False),
    "database in WAL mode": lambda path: foreign(path, wal=True),
    "database with an id": lambda path: foreign(path, wal=False, application_id=7),
    "sound": lambda path: path.write_bytes(b"OggS" + bytes(range(256)) * 64),
    "text": lambda path: path.write_text("x = 1\n"),
    "cut database": lambda path: (foreign(path, wal=False), truncate(path, 0.4)),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", NOT_OURS.values(), ids=NOT_OURS.keys())
async def test_what_is_no_history_of_ours_is_refused(tmp_path, make):
    path = tmp_path / "data" / "song.ogg"
    path.parent.mkdir()
    make(path)
    (path / "inside").write_text("") if path.is_dir() else None
    before = hashes(path if path.is_dir() else path.parent)
    for _ in range(2):  # nothing is left behind that would make it ours the second time
        with pytest.raises(UsageError, match=r"is not a history of streamseg.*--history"):
            async with serve(Hub(history=path), port=0):
                pass
    assert hashes(path if path.is_dir() else path.parent) == before
    assert [file.name for file in path.parent.iterdir()] == ["song.ogg"]


@pytest.mark.parametrize("option", ["--history", "--memory"])
def test_the_command_refuses_it_with_exit_code_2(tmp_path, option):
    path = tmp_path / "song.ogg"
    NOT_OURS["sound"](path)
    before = path.read_bytes()
    other = ("--no-history",) if option == "--memory" else ("--memory", tmp_path / "memory.sqlite")
    done = run("serve", "-", "--port", "0", option, path, *other, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    assert f"{path} is not a {option[2:]} of streamseg" in done.stderr.replace("\n", " ")
    assert path.read_bytes() == before


async def test_a_database_that_its_program_has_open_is_refused(tmp_path):
    path = tmp_path / "other.sqlite"
    foreign(path, wal=True)
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("INSERT INTO notes VALUES ('pending')")
        before = {name: sum_ for name, sum_ in hashes(tmp_path).items() if not name.endswith("-shm")}
        with pytest.raises(UsageError, match="another program"):
            open_history(path)
        assert {name: sum_ for name, sum_ in hashes(tmp_path).items() if not name.endswith("-shm")} == before
        assert db.execute("SELECT count(*) FROM notes").fetchone() == (2,)
    db.close()
