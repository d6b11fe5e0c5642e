"""The history's files are deleted, cut or replaced, running or not; and files that are not ours are left alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from integration.test_history import as_json, cursor, log, settled

from streamseg.errors import HistoryError, UsageError
from streamseg.history.database import MIGRATIONS, open_history
from streamseg.history.file_watch import HistoryFileWatch, HistoryLoss
from streamseg.history.sqlite_file import connect_existing_database
from streamseg.server import Hub, serve
from streamseg.wire import events as e
from tools.command import run
from tools.load.event_feed import Feed
from tools.load.plain_client import client


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch):
    """A loss is looked for ten times as often as for users."""
    monkeypatch.setattr("streamseg.history.file_watch._CHECK_INTERVAL_S", 0.1)
    monkeypatch.setattr("streamseg.history.writer_thread._IDLE_S", 0.1)


def part(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def set_aside_of(path: Path) -> list[Path]:
    """What was set aside in place of that file, without what lies beside it."""
    return [found for found in path.parent.iterdir() if re.fullmatch(re.escape(path.name) + r"\.aside-\d+", found.name)]


def hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def delete(*endings: str):
    def damage(path: Path) -> None:
        for ending in endings:
            part(path, ending).unlink()

    return damage


def truncate(path: Path, to: float) -> None:
    with path.open("r+b") as file:
        file.truncate(int(to * path.stat().st_size))


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved.sqlite"))


def drop_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE event; DROP TABLE epoch; DROP TABLE stream; DROP TABLE generation;")
    db.close()


def other_history(path: Path) -> Path:
    """A history of another run, closed."""
    elsewhere = path.parent / "elsewhere.sqlite"
    open_history(elsewhere).close()
    return elsewhere


DAMAGES = {
    "all deleted": delete("", "-wal", "-shm"),
    "all and the lock deleted": delete("", "-wal", "-shm", ".lock"),
    "deleted": delete(""),
    "the folder deleted": lambda path: shutil.rmtree(path.parent),
    "log deleted": delete("-wal"),
    "log and index deleted": delete("-wal", "-shm"),
    "emptied": lambda path: truncate(path, 0),
    "cut": lambda path: truncate(path, 0.5),
    "moved": move_away,
    "tables dropped": drop_tables,
    "replaced by a moved one": lambda path: other_history(path).replace(path),
    "overwritten": lambda path: shutil.copyfile(other_history(path), path),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_history_lost_while_running_is_begun_anew(path, damage, caplog):
    hub = Hub(history=path)
    feed, other = Feed(hub), Feed(hub, "line")
    async with serve(hub, port=0) as server, client(server.port, streams=["mic"]) as listener:
        feed.publish(feed.talker.start())
        other.publish(other.talker.start())
        for _ in range(30):
            feed.step()
        await settled(feed)
        await settled(other)
        lost = log(path)
        damage(path)
        messages: list[dict] = []

        async def hear_until(event_type: str) -> dict:
            while True:
                if not messages:
                    feed.step()  # the loss is found behind a commit, at the latest
                message = await listener.wait_for_message("event")
                messages.append(message)
                if message["d"]["type"] == event_type:
                    return message["d"]

        async with asyncio.timeout(30):
            failed = await hear_until(e.HistoryFailed.type)
            assert failed["epoch"] == lost[0]["epoch"]
            restored = await hear_until(e.HistoryRestored.type)
        assert restored["epoch"] != failed["epoch"]
        feed.step()
        other.step()
        await settled(feed)
        await settled(other)
        assert other.said[-1].epoch != lost[-1]["epoch"]  # the silent stream begins a new epoch too
        kept = log(path)
        assert kept == [
            d for d in as_json([*feed.said, *other.said]) if d["epoch"] in (kept[0]["epoch"], kept[-1]["epoch"])
        ]
        assert kept[0]["type"] == e.StreamStarted.type
        for place, recovered in ((cursor(lost[0]), False), (cursor(failed), False), (cursor(kept[0]), True)):
            async with client(server.port, resume={"mic": place}) as again:
                assert again.identified["streams"]["mic"]["recovered"] is recovered
                if recovered:
                    rest = [d for d in kept if d["source"] == "/streams/mic"][1:]
                    assert await again.events(len(rest)) == rest
    assert log(path) == kept
    assert "is written again" in caplog.text


async def test_a_history_begun_anew_numbers_its_streams_in_order(path):
    """A set of names has another order in each process: the new file had it too."""
    names = [f"stream-{n}" for n in range(6)]
    hub = Hub(history=path)
    feeds = [Feed(hub, name) for name in names]
    async with serve(hub, port=0):
        for feed in feeds:
            feed.step()
        for feed in feeds:
            await settled(feed)
        delete("", "-wal", "-shm")(path)
        feeds[3].step()
        async with asyncio.timeout(30):
            while any(feed.sequencer.epoch == feed.said[0].epoch for feed in feeds):
                await asyncio.sleep(0.01)
        await settled(feeds[0])
        with sqlite3.connect(path) as db:
            assert [name for (name,) in db.execute("SELECT name FROM stream ORDER BY id")] == names
        db.close()


@pytest.mark.parametrize("endings", [("-wal",), ("-wal", "-shm")])
async def test_events_whose_log_was_deleted_are_saved_aside(path, endings):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        for _ in range(30):
            feed.step()
        await settled(feed)
        said = as_json(feed.said)
        delete(*endings)(path)
        feed.step()
        async with asyncio.timeout(30):
            while not (aside := set_aside_of(path)):
                await asyncio.sleep(0.01)
    assert log(aside[0])[: len(said)] == said


async def test_what_replaced_the_history_is_not_touched(path):
    """A backup that was copied over the open file, and another program's database that was moved there."""
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
        backup = other_history(path)
        content = backup.read_bytes()
        shutil.copyfile(backup, path)
    (aside,) = set_aside_of(path)
    assert aside.read_bytes() == content

    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
        foreign(path.parent / "notes.sqlite", wal=False)
        content = (path.parent / "notes.sqlite").read_bytes()
        (path.parent / "notes.sqlite").replace(path)
        feed.step()
        async with asyncio.timeout(30):
            while hub.history_path != path.with_stem("history-2"):
                await asyncio.sleep(0.01)
        await settled(feed)
    assert path.read_bytes() == content
    assert log(path.with_stem("history-2"))


def test_a_file_replaced_while_it_is_looked_into_is_not_touched(path, monkeypatch):
    """It was taken for a damaged one of ours, and set aside."""
    notes = path.parent / "notes.sqlite"
    look = HistoryFileWatch._check_generation

    def replace_and_look(file_watch):
        notes.replace(path)
        return look(file_watch)

    monkeypatch.setattr(HistoryFileWatch, "_check_generation", replace_and_look)
    file = open_history(path)
    foreign(notes, wal=False)
    content = notes.read_bytes()
    loss = file.find_loss(thorough=True)
    assert loss.kind == "gone"
    file.close_after_loss(loss)
    assert path.read_bytes() == content


def test_a_file_replaced_after_a_damage_was_found_is_not_touched(path):
    file = open_history(path)
    foreign(path.parent / "notes.sqlite", wal=False)
    content = (path.parent / "notes.sqlite").read_bytes()
    (path.parent / "notes.sqlite").replace(path)
    file.close_after_loss(HistoryLoss("damaged", "as SQLite says"))
    assert path.read_bytes() == content


def test_a_reader_changes_nothing_in_what_is_another_programs_by_now(path):
    foreign(path, wal=False)
    content = path.read_bytes()
    reader = connect_existing_database(path)
    reader.execute("SELECT * FROM notes").fetchall()
    reader.close()
    assert path.read_bytes() == content


async def test_a_lock_that_was_deleted_is_made_again(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
        part(path, ".lock").unlink()
        feed.step()
        await settled(feed)
        second = open_history(path)
        assert second.path == path.with_stem("history-2")
        second.close()
        feed.step()
        await settled(feed)
        assert hub.failure is None
    assert log(path) == as_json(feed.said)


async def test_a_vacuumed_history_goes_on(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        for _ in range(300):
            feed.step()
        await settled(feed)
        with sqlite3.connect(path, isolation_level=None) as db:
            db.execute("DELETE FROM event WHERE offset < 250")
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        feed.step()
        await settled(feed)
        assert hub.failure is None
    assert log(path) == as_json(feed.said)[249:]


# --- what lies there at the start


def foreign(path: Path, *, wal: bool, application_id: int = 0) -> None:
    """Another program's database."""
    path.parent.mkdir(exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    db.execute(f"PRAGMA application_id={application_id}")
    db.executescript("CREATE TABLE notes (x); INSERT INTO notes VALUES ('mine'); PRAGMA user_version=1;")
    db.close()


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


async def test_a_damaged_file_of_ours_under_any_name_is_set_aside(tmp_path, caplog):
    path = tmp_path / "events.db"
    async with serve(hub := Hub(history=path), port=0):
        feed = Feed(hub)
        for _ in range(200):
            feed.step()
        await settled(feed)
    truncate(path, 0.5)
    for lock in (True, False):
        if not lock:
            part(path, ".lock").unlink()
            truncate(path, 0.5)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            open_history(path).close()
        assert "was set aside" in caplog.text


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
async def test_a_history_without_its_tables_is_set_aside(path, caplog, version):
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
    assert "was set aside" in caplog.text
    assert log(path) == as_json(feed.said)


async def test_an_older_file_whose_tables_are_only_in_its_log_is_known(tmp_path):
    path, left = tmp_path / "made" / "mine.sqlite", tmp_path / "left" / "mine.sqlite"
    for file in (path, left):
        file.parent.mkdir()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(f"{MIGRATIONS[0]} {MIGRATIONS[1]} PRAGMA user_version=2;")
    db.execute("INSERT INTO stream VALUES (1, 'mic')")
    for ending in ("", "-wal"):  # as a kill would leave it
        part(left, ending).write_bytes(part(path, ending).read_bytes())
    db.close()
    file = open_history(left)
    assert file.connection.execute("SELECT name FROM stream").fetchall() == [("mic",)]
    file.close()


async def test_a_history_that_another_program_is_writing_is_left_alone(path, caplog, monkeypatch):
    """Locked as SQLite locks a file with a write-ahead log: it can be read, and not written."""
    open_history(path).close()
    monkeypatch.setattr("streamseg.history.sqlite_file._BUSY_TIMEOUT_S", 0.1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
        assert hub.failure is None
    writer.execute("ROLLBACK")
    writer.close()
    assert "is locked by another program" in caplog.text
    assert log(path) == []
    assert log(path.with_stem("history-2")) == as_json(feed.said)


async def test_a_history_that_is_locked_for_long_while_running_fails_and_comes_back(path, monkeypatch):
    monkeypatch.setattr("streamseg.history.writer_thread.RETRY_S", 0.05)
    monkeypatch.setattr("streamseg.history.sqlite_file._BUSY_TIMEOUT_S", 0.1)
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.step()
        await settled(feed)
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        feed.step()
        async with asyncio.timeout(30):
            while hub.failure is None:
                await asyncio.sleep(0.01)
            assert "locked" in hub.failure.reason
            writer.execute("ROLLBACK")
            writer.close()
            while hub.failure is not None:
                await asyncio.sleep(0.01)
        feed.step()
        await settled(feed)
    assert log(path)[-1] == json.loads(json.dumps(as_json(feed.said)[-1]))
    assert list(path.parent.glob("*.aside-*")) == []


def test_a_path_that_cannot_be_written_names_the_history(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match=r"the history .*name another with --history"):
        open_history(tmp_path / "file" / "history.sqlite")
    open_history(tmp_path / "history.sqlite").close()
    (tmp_path / "history.sqlite.lock").unlink()
    (tmp_path / "history.sqlite.lock").mkdir()
    with pytest.raises(HistoryError, match=r"cannot write the history .*name another with --history"):
        open_history(tmp_path / "history.sqlite")
