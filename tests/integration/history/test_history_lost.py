"""The history's files are deleted, cut or replaced while it is written."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from integration.event_json import as_json
from integration.history.event_log import cursor, log, settled
from integration.history.history_files import foreign, part, truncate

from streamseg.history.database import open_history
from streamseg.history.file_watch import HistoryFileLoss, HistoryFileWatch
from streamseg.history.sqlite_file import connect_beside_writer
from streamseg.server import Hub, serve
from streamseg.wire import events as e
from tools.load.event_feed import Feed
from tools.load.plain_client import client

pytestmark = pytest.mark.usefixtures("quick_looks")


def set_aside_of(path: Path) -> list[Path]:
    """What was set aside in place of that file, without what lies beside it."""
    return [found for found in path.parent.iterdir() if re.fullmatch(re.escape(path.name) + r"\.aside-\d+", found.name)]


def delete(*endings: str):
    def damage(path: Path) -> None:
        for ending in endings:
            part(path, ending).unlink()

    return damage


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
    loss = file.find_file_loss(check_content_now=True)
    assert loss.kind == "gone"
    file.close_and_move_to_backup(loss)
    assert path.read_bytes() == content


def test_a_file_replaced_after_a_damage_was_found_is_not_touched(path):
    file = open_history(path)
    foreign(path.parent / "notes.sqlite", wal=False)
    content = (path.parent / "notes.sqlite").read_bytes()
    (path.parent / "notes.sqlite").replace(path)
    file.close_and_move_to_backup(HistoryFileLoss("damaged", "as SQLite says"))
    assert path.read_bytes() == content


def test_a_reader_changes_nothing_in_what_is_another_programs_by_now(path):
    foreign(path, wal=False)
    content = path.read_bytes()
    reader = connect_beside_writer(path)
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
