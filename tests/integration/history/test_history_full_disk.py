"""Full disks: listening goes on, and what is not kept is said."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from integration.event_json import as_json
from integration.history.event_log import cursor, log, settled

from streamseg.history import database
from streamseg.server import Hub, serve
from streamseg.wire import events as e
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_a_full_disk(path, monkeypatch):
    """Events go on live and say that they are not kept; when there is room again a new, whole epoch begins."""
    limit = {"pages": 40}
    opened: list[sqlite3.Connection] = []
    connect = database.connect_database

    def connect_to_small_disk(where, *, durable=False):
        connection = connect(where, durable=durable)
        connection.execute(f"PRAGMA max_page_count={limit['pages']}")  # SQLite's own word for a full disk
        opened.append(connection)
        return connection

    monkeypatch.setattr(database, "connect_database", connect_to_small_disk)
    monkeypatch.setattr("streamseg.history.writer_thread.RETRY_S", 0.05)
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        messages: list[dict] = []

        async def hear_until(event_type: str) -> dict:
            while True:
                message = await listener.wait_for_message("event")
                messages.append(message)
                if message["d"]["type"] == event_type:
                    return message["d"]

        feed.publish(feed.talker.start())
        while hub.failure is None:
            feed.step()
            await asyncio.sleep(0.001)
        failed = await hear_until(e.HistoryFailed.type)
        assert "full" in failed["data"]["reason"]
        feed.step()
        await settled(feed)
        unkept = feed.said[-1].epoch, feed.said[-1].offset
        last_kept = log(path)[-1]
        opened[0].execute("PRAGMA max_page_count=100000")  # somebody made room
        await hear_until(e.HistoryRestored.type)
        feed.step()
        await settled(feed)
        marks = {}
        while len(messages) < len(feed.said):
            messages.append(await listener.wait_for_message("event"))
        assert [m["d"] for m in messages] == as_json(feed.said)  # live, nothing was lost
        marks = {m["d"]["id"]: m.get("kept", True) for m in messages}
        kept = log(path)
        assert [id for id, is_kept in marks.items() if is_kept] == [d["id"] for d in kept]
        assert e.HistoryRestored.type in {d["type"] for d in kept}
        first_of_new = next(d for d in kept if d["epoch"] != last_kept["epoch"])
        assert (first_of_new["offset"], first_of_new["type"]) == (1, e.StreamStarted.type)
        assert [d["offset"] for d in kept if d["epoch"] == first_of_new["epoch"]] == list(
            range(1, feed.said[-1].offset + 1)
        )
        for place, recovered in (
            (cursor(last_kept), False),
            ({"epoch": unkept[0], "offset": unkept[1]}, False),
            (cursor(first_of_new), True),
        ):
            async with client(server.port, resume={"mic": place}) as again:
                assert again.identified["streams"]["mic"]["recovered"] is recovered


@pytest.mark.parametrize("marked", [True, False])
async def test_killed_while_the_disk_is_full(path, tmp_path, monkeypatch, marked):
    """What lies on the disk the moment after is all the next server knows: the epoch is not whole, nor can be ended."""
    opened: list[sqlite3.Connection] = []
    connect = database.connect_database

    def connect_and_tell(where, *, durable=False):
        opened.append(connect(where, durable=durable))
        return opened[-1]

    monkeypatch.setattr(database, "connect_database", connect_and_tell)
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.publish(feed.talker.start())
        await settled(feed)
        (kept,) = log(path)
        if marked:
            opened[0].execute("PRAGMA max_page_count=1")
            while hub.failure is None:
                feed.step()
                await asyncio.sleep(0.001)
        left = tmp_path / "left"
        left.mkdir()
        for file in path.parent.iterdir():
            (left / file.name).write_bytes(file.read_bytes())
    said = log(left / path.name)
    async with serve(again := Hub(history=left / path.name), port=0) as server:
        Feed(again)
        ended = [d["type"] for d in log(left / path.name)[len(said) :]]
        assert ended == ([] if marked else [e.StreamStopped.type])
        for offset in (kept["offset"], kept["offset"] + 1):
            async with client(server.port, resume={"mic": {"epoch": kept["epoch"], "offset": offset}}) as listener:
                assert listener.identified["streams"]["mic"]["recovered"] is not marked


async def test_a_disk_that_is_full_from_the_start(path, monkeypatch):
    """Not even a file can be made; listening goes on, and is kept once it can be."""
    connect = database.connect_database
    room = {"pages": 2}

    def connect_to_small_disk(where, *, durable=False):
        connection = connect(where, durable=durable)
        connection.execute(f"PRAGMA max_page_count={room['pages']}")
        return connection

    monkeypatch.setattr(database, "connect_database", connect_to_small_disk)
    monkeypatch.setattr("streamseg.history.writer_thread.RETRY_S", 0.05)
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        (said,) = as_json(feed.publish(feed.talker.start()))
        while (await listener.events(1))[0] != said:
            pass
        assert e.HistoryFailed.type in {envelope.type for envelope in feed.said}
        room["pages"] = 100_000
        while (await listener.events(1))[0]["type"] != e.HistoryRestored.type:
            pass
        assert hub.failure is None
    kept = log(path)
    assert {d["epoch"] for d in kept} == {feed.sequencer.epoch}
    assert [d["offset"] for d in kept] == list(range(1, len(kept) + 1))
