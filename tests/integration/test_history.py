"""The event log: nothing sent that is not kept, nothing lost, nothing twice, and no way to bring listening down."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3

import pytest

from streamseg.errors import HistoryError
from streamseg.history import database, writer_thread
from streamseg.history.database import MIGRATIONS, open_history
from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire.envelope import encode_envelope
from streamseg.wire.messages import EventCursor
from streamseg.wire.topics import TopicFilter
from tools.load.event_feed import Feed
from tools.load.plain_client import client, stranger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "history.sqlite"


def log(path) -> list[dict]:
    """Everything in the file, in its order."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT json FROM event ORDER BY stream_id, epoch_id, offset").fetchall()
    db.close()
    return [json.loads(row[0]) for row in rows]


def as_json(envelopes) -> list[dict]:
    return [json.loads(encode_envelope(envelope)) for envelope in envelopes]


def cursor(event: dict) -> dict:
    return {"epoch": event["epoch"], "offset": event["offset"]}


async def settled(feed: Feed) -> None:
    """Wait until everything said was sent."""
    stream = feed.hub.streams[feed.stream]
    async with asyncio.timeout(60):
        while stream.cursor != EventCursor(feed.said[-1].epoch, feed.said[-1].offset):
            await asyncio.sleep(0.005)


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
            feed.reset()
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
    feed.reset()
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
        feed.reset()
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


# When the file or the disk is not as it should be


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
