"""Files that another process uses or locks, and paths that cannot be written."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest
from integration.event_json import as_json
from integration.history.event_log import log, settled

from streamseg.errors import HistoryError
from streamseg.history.database import open_history
from streamseg.server import Hub, serve
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_two_servers_do_not_share_a_file(path, caplog):
    first, second = Hub(history=path), Hub(history=path)
    one, two = Feed(first), Feed(second)
    async with serve(first, port=0), serve(second, port=0):
        one.step()
        two.step()
    assert "is in use by another process" in caplog.text
    assert caplog.text.count(f"events are kept in {path.with_stem('history-2')} instead") == 1
    assert log(path) == as_json(one.said)
    assert log(path.with_stem("history-2")) == as_json(two.said)


async def test_a_file_locked_by_another_program_is_left_alone(path, caplog):
    open_history(path).close()
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("PRAGMA journal_mode=DELETE")
    foreign.execute("BEGIN EXCLUSIVE")
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        said = feed.step()
        assert await listener.events(len(said)) == as_json(said)
    foreign.close()
    assert "is locked by another program" in caplog.text
    assert log(path.with_stem("history-2")) == as_json(feed.said)


async def test_a_path_that_can_never_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="cannot make the folder"):
        async with serve(Hub(history=tmp_path / "file" / "history.sqlite"), port=0):
            pass


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


@pytest.mark.usefixtures("quick_looks")
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
