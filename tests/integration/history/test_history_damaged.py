"""Files of ours that are damaged, newer or older at the start: set aside, or brought up."""

from __future__ import annotations

import logging
import sqlite3

import pytest
from integration.event_json import as_json
from integration.history.event_log import log, settled
from integration.history.history_files import part, truncate

from streamseg.history.database import MIGRATIONS, open_history
from streamseg.server import Hub, serve
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_a_corrupt_file_is_set_aside(path, caplog):
    path.parent.mkdir()
    path.write_bytes(b"SQLite format 3\0" + b"this is not a database" * 500)
    hub = Hub(history=path)
    feed = Feed(hub)
    with caplog.at_level(logging.WARNING):
        async with serve(hub, port=0) as server, client(server.port) as listener:
            said = feed.step()
            assert await listener.events(len(said)) == as_json(said)
    assert "was set aside" in caplog.text
    assert log(path) == as_json(feed.said)
    (aside,) = path.parent.glob("history.sqlite.aside-*")
    assert b"this is not a database" in aside.read_bytes()


async def test_a_file_damaged_in_its_middle_is_set_aside(path, caplog):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        for _ in range(500):
            feed.step()
    damaged = bytearray(path.read_bytes())
    damaged[8192:40960] = b"\xaa" * 32768
    path.write_bytes(damaged)
    async with serve(Hub(history=path), port=0):
        pass
    assert "was set aside" in caplog.text
    assert log(path) == []


async def test_a_newer_file_is_set_aside(path, caplog):
    open_history(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    async with serve(Hub(history=path), port=0):
        pass
    assert "newer than ours" in caplog.text
    assert len(list(path.parent.glob("history.sqlite.aside-*"))) >= 1


async def test_a_file_of_the_first_version_is_brought_up(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0] + "PRAGMA user_version=1;")
        db.execute("INSERT INTO stream VALUES (1, 'mic')")
        db.execute("INSERT INTO epoch VALUES (1, 1, '01A', 1, 2.5, 1)")
        db.execute(
            "INSERT INTO event VALUES (1, 1, 1, 1, 'streamseg.stream.title.v1', 4e9, ?)",
            ('{"id":"01A:1","epoch":"01A","offset":1}',),
        )
    db.close()
    hub = Hub(history=path)
    feed = Feed(hub)
    feed.step()
    async with serve(hub, port=0) as server:
        await settled(feed)
        async with client(server.port, resume={"mic": {"epoch": "01A", "offset": 0}}) as listener:
            assert listener.identified["streams"]["mic"]["recovered"]
            assert (await listener.events(1))[0]["id"] == "01A:1"
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
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
