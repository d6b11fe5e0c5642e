"""What the history keeps: by count, by age, and under a replay."""

from __future__ import annotations

import asyncio
import sqlite3

from integration.event_json import as_json
from integration.history.event_log import log, settled

from streamseg.history import writer_thread
from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_retention_by_count(path, monkeypatch):
    monkeypatch.setattr(writer_thread, "PRUNE_EVERY_S", 0.01)
    hub = Hub(ServerSettings(history_events=50), history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        while len(feed.said) < 300:
            feed.step()
        await settled(feed)
        async with asyncio.timeout(60):
            while len(log(path)) > 50:
                await asyncio.sleep(0.02)
        kept = log(path)
        assert kept == as_json(feed.said)[-50:]
        epoch, last = feed.sequencer.epoch, len(feed.said)
        for offset, recovered in ((last - 51, False), (last - 50, True), (last, True), (0, False)):
            async with client(server.port, resume={"mic": {"epoch": epoch, "offset": offset}}) as listener:
                assert listener.identified["streams"]["mic"]["recovered"] is recovered


async def test_retention_by_age_and_a_last_epoch_with_nothing_left(path, monkeypatch):
    monkeypatch.setattr(writer_thread, "PRUNE_EVERY_S", 0.01)
    hub = Hub(ServerSettings(history_s=0.2), history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        feed.step()
        feed.request_new_epoch()
        await settled(feed)
        first, last = feed.said[0].epoch, feed.said[-1].epoch
        async with asyncio.timeout(60):
            while log(path):
                await asyncio.sleep(0.02)
        for epoch, offset, recovered in ((first, 1, False), (last, 0, False), (last, 1, True)):
            async with client(server.port, resume={"mic": {"epoch": epoch, "offset": offset}}) as listener:
                assert listener.identified["streams"]["mic"]["recovered"] is recovered


async def test_a_replay_overtaken_by_the_pruning_is_broken_off(path, monkeypatch):
    hub = Hub(history=path)
    feed = Feed(hub)
    while len(feed.said) < 400:
        feed.step()
    async with serve(hub, port=0) as server:
        await settled(feed)
        after = hub._history_reader.read_events_after

        async def slow_after(*where):
            rows = await after(*where)
            with sqlite3.connect(path) as db:
                db.execute("DELETE FROM event WHERE offset < 250")
            db.close()
            return rows

        monkeypatch.setattr(hub._history_reader, "read_events_after", slow_after)
        async with client(server.port, resume={"mic": {"epoch": feed.sequencer.epoch, "offset": 0}}) as listener:
            assert await listener.closed() == 4310
