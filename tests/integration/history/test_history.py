"""The event log: nothing sent that is not kept, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest
from integration.event_json import as_json
from integration.history.event_log import cursor, log, settled

from streamseg.history.database import open_history
from streamseg.server import Hub, serve
from streamseg.wire import events as e
from streamseg.wire.messages import EventCursor
from streamseg.wire.topics import TopicFilter
from tools.load.event_feed import Feed
from tools.load.plain_client import client, stranger


async def test_every_event_is_committed_before_it_is_sent(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, client(server.port) as listener:
        for _ in range(30):
            for event in await listener.events(len(feed.step())):
                assert event in log(path)
    assert log(path) == as_json(feed.said)


async def test_the_log_and_the_wire_agree_byte_for_byte(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server, stranger(server.port) as listener:
        await listener.identify()
        for _ in range(20):
            feed.step()
        heard = []
        while len(heard) < len(feed.said):
            text = await listener.connection.recv()
            if text.startswith('{"op":"event","d":'):
                heard.append(text.removeprefix('{"op":"event","d":').removesuffix("}"))
    with sqlite3.connect(path) as db:
        assert heard == [row[0] for row in db.execute("SELECT json FROM event ORDER BY id")]
    db.close()


async def test_a_resumed_client_has_everything_once(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        async with client(server.port) as listener:
            for _ in range(300):
                feed.step()
            heard = await listener.events(7)
        async with client(server.port, resume={"mic": cursor(heard[-1])}) as listener:
            where = listener.identified["streams"]["mic"]
            assert where["recovered"] is True
            feed.step()
            heard += await listener.events(len(feed.said) - len(heard))
        assert where["replayed"] + 7 == where["offset"]
    assert heard == as_json(feed.said) == log(path)


async def test_joining_under_load_leaves_no_hole_and_no_double(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    feed.publish(feed.talker.start())
    for _ in range(500):
        feed.step()
    done = asyncio.Event()

    async def talk():
        for _ in range(300):
            feed.step()
            if len(feed.said) % 7 == 0:
                await asyncio.sleep(0.001)
        done.set()

    async def hear(from_offset: int) -> list[dict]:
        await asyncio.sleep(from_offset / 2000)
        resume = {"mic": {"epoch": feed.sequencer.epoch, "offset": from_offset}}
        async with client(server.port, resume=resume) as listener:
            assert listener.identified["streams"]["mic"]["recovered"]
            await done.wait()
            return await listener.events(len(feed.said) - from_offset)

    async with serve(hub, port=0) as server:
        await settled(feed)
        talking = asyncio.create_task(talk())
        everybody = await asyncio.gather(*(hear(n) for n in (0, 1, 99, 100, 101, 350, 600)))
        await talking
    for n, heard in zip((0, 1, 99, 100, 101, 350, 600), everybody):
        assert heard == as_json(feed.said)[n:]


async def test_a_quiet_tail_is_delivered(path):
    """A replay must not wait for the next event to show its last ones."""
    hub = Hub(history=path)
    feed = Feed(hub)
    feed.step()
    async with serve(hub, port=0) as server:
        await settled(feed)
        resume = {"mic": {"epoch": feed.sequencer.epoch, "offset": 0}}
        async with client(server.port, resume=resume) as listener:
            assert await listener.events(len(feed.said)) == as_json(feed.said)


async def test_resuming_a_part(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    for _ in range(60):
        feed.step()
    async with serve(hub, port=0) as server:
        await settled(feed)
        resume = {"mic": {"epoch": feed.sequencer.epoch, "offset": 5}}
        wanted = [d for d in as_json(feed.said)[5:] if d["type"] == e.BoundaryConfirmed.type]
        async with client(server.port, resume=resume, subscribe=["boundary"], min_state="confirmed") as listener:
            where = listener.identified["streams"]["mic"]
            assert (where["recovered"], where["replayed"]) == (True, len(wanted))
            assert await listener.events(len(wanted)) == wanted


async def test_across_epochs_and_a_restart(path):
    heard: list[dict] = []
    for _ in range(3):
        hub = Hub(history=path)
        feed = Feed(hub)
        resume = {"mic": cursor(heard[-1])} if heard else {}
        async with serve(hub, port=0) as server, client(server.port, resume=resume) as listener:
            feed.publish(feed.talker.start())
            feed.step()
            feed.request_new_epoch()
            feed.step()
            await settled(feed)
            where = listener.identified["streams"]["mic"]
            assert where["recovered"] is bool(heard)
            already = len(heard)
            # Leaves early: the rest of this run is missed, and made up for in the next.
            heard += await listener.events(2)
            assert len(heard) == already + 2
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0) as server:
        async with client(server.port, resume={"mic": cursor(heard[-1])}) as listener:
            assert listener.identified["streams"]["mic"]["recovered"]
            feed.publish(feed.talker.start())
            await settled(feed)
            heard += await listener.events(len(log(path)) - len(heard))
        assert heard == log(path)
        interrupted = [d for d in heard if d["data"].get("reason") == "interrupted"]
        assert len(interrupted) == 3  # none of the first three runs said goodbye


async def test_an_epoch_cut_short_is_closed_at_the_next_start(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    async with serve(hub, port=0):
        feed.publish(feed.talker.start())
        for _ in range(4):
            feed.step()
    cut = log(path)
    Feed(again := Hub(history=path))
    async with serve(again, port=0):
        pass
    *before, stopped = log(path)
    assert before == cut
    assert stopped["type"] == e.StreamStopped.type
    assert stopped["data"] == {"t": feed.talker.t, "reason": "interrupted", "totals": {}}
    assert (stopped["offset"], stopped["rev"], stopped["subject"]) == (len(cut) + 1, 2, "stream")
    assert stopped["id"] == f"{stopped['epoch']}:{stopped['offset']}"
    async with serve(Hub(history=path), port=0):
        pass
    assert log(path) == [*before, stopped]


async def test_a_head_that_is_behind_the_log(path):
    """What is committed may not be sent yet: a replay goes up to what was sent, and finds that whole."""
    hub = Hub(history=path)
    feed = Feed(hub)
    feed.step()
    first, last = feed.sequencer.epoch, feed.said[-1].offset
    feed.request_new_epoch()
    second = feed.sequencer.epoch
    async with serve(hub, port=0):
        await settled(feed)
        everything, replay = TopicFilter(), hub._history_reader
        for cursor_, head, missed in (
            ((first, last), (second, 0), 1),  # the stop that the reset said
            ((first, last + 1), (second, 0), 0),
            ((first, last + 1), (second, 1), 1),
            ((first, 0), (first, last), last),
            ((first, last + 1), ("not begun yet", 0), 1),
            ((second, 1), ("not begun yet", 0), 0),
            ((second, 1), ("not begun yet", 1), None),
            ((second, 1), (first, last), None),
        ):
            span = EventCursor(*cursor_), EventCursor(*head)
            assert await replay.count_events_after("mic", *span, everything) == missed
            rows = await replay.read_events_after("mic", *span)
            assert (rows is None) if missed is None else (len(rows) == missed)


@pytest.mark.parametrize(
    "lost", [{"epoch": "nonsense", "offset": 3}, {"epoch": None, "offset": 10_000}, {"epoch": "other", "offset": 0}]
)
async def test_what_cannot_be_recovered_whole_is_not_recovered_at_all(path, lost):
    hub = Hub(history=path)
    feed = Feed(hub)
    other = Feed(hub, "line")
    other.step()
    feed.step()
    epoch = {None: feed.sequencer.epoch, "other": other.sequencer.epoch}.get(lost["epoch"], lost["epoch"])
    async with serve(hub, port=0) as server:
        await settled(feed)
        async with client(server.port, resume={"mic": {**lost, "epoch": epoch}}) as listener:
            where = listener.identified["streams"]["mic"]
            assert (where["recovered"], where["replayed"], where["offset"]) == (False, 0, len(feed.said))
            assert "state" in where["snapshot"]
            said = feed.step()
            assert await listener.events(len(said)) == as_json(said)


async def test_history_requests(path):
    hub = Hub(history=path)
    feed = Feed(hub)
    while len(feed.said) < 1500:
        feed.step()
    epoch = feed.sequencer.epoch
    async with serve(hub, port=0) as server:
        await settled(feed)
        async with client(server.port) as listener:
            await ask_for_everything(listener, feed, epoch)


async def ask_for_everything(listener, feed, epoch):
    said = as_json(feed.said)
    got = await listener.ask("history", stream="mic", epoch=epoch, **{"from": 3, "to": 5})
    assert got["events"] == said[2:5]
    assert got["next"] is None
    everything, start = [], 1
    while start is not None:
        got = await listener.ask("history", stream="mic", epoch=epoch, **{"from": start, "to": 10_000})
        assert len(json.dumps(got)) < 524_288
        everything += got["events"]
        start = got["next"]
    assert everything == said
    refused = await listener.ask("history", stream="mic", epoch="nonsense", **{"from": 1, "to": 5})
    assert (refused["ok"], refused["error"]["code"]) == (False, 600)


async def test_a_durable_history_syncs_every_commit(path):
    file = open_history(path, durable=True)
    assert file.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert file.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


async def test_a_clock_set_back_does_not_reorder_epochs(path):
    for epoch in ("02LATER", "01EARLIER"):
        hub = Hub(history=path)
        feed = Feed(hub)
        feed.sequencer.epoch = epoch
        hub.streams.clear()
        hub._early_batches.clear()
        hub.add_stream("mic", epoch, feed)
        feed.publish(feed.talker.start())
        async with serve(hub, port=0) as server:
            await settled(feed)
            if epoch == "01EARLIER":
                async with client(server.port, resume={"mic": {"epoch": "02LATER", "offset": 0}}) as listener:
                    heard = await listener.events(3)
                    assert [d["id"] for d in heard] == ["02LATER:1", "02LATER:2", "01EARLIER:1"]


async def test_a_server_that_ends_while_a_client_catches_up(path, caplog):
    hub = Hub(history=path)
    feed = Feed(hub)
    while len(feed.said) < 3000:
        feed.step()
    async with serve(hub, port=0) as server:
        await settled(feed)
        late = client(server.port, resume={"mic": {"epoch": feed.sequencer.epoch, "offset": 0}})
        listener = await late.__aenter__()
        await listener.events(150)
    assert await listener.closed() in (1001, 1006, 4310)
    assert caplog.text == ""
