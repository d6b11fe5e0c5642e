"""How a client comes to hear its streams over a slow line: snapshots that follow, then every event after them."""

from __future__ import annotations

import asyncio

import pytest

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from tools.load.event_feed import Feed
from tools.load.join_clients import Joiner, crowd
from tools.load.join_full import CLOCK, fill, names, talk
from tools.load.plain_client import client, stranger
from tools.load.slow_line import slow_line

LINE_BYTES_PER_S = 1e6


@pytest.fixture(scope="module")
def full_streams():
    """The names of streams whose snapshots are as large as they become, and what fills them."""
    return names(50)


async def test_many_full_streams_over_a_slow_line(full_streams, tmp_path):
    """A slice of `tools.load.join_full`: nobody is closed, nothing is missed or doubled, no heartbeat runs ahead."""
    hub = Hub(ServerSettings(heartbeat_s=0.2), history=tmp_path / "history.sqlite")
    async with serve(hub, port=0) as server:
        feeds = await fill(hub, full_streams)
        talking = asyncio.create_task(talk(feeds, 1.0, Feed(hub, CLOCK)))
        found = await crowd(server.port, full_streams, 2, 2, LINE_BYTES_PER_S, tail_s=0.5)
        talking.cancel()
    assert found["faults"] == []
    assert found["closed"] == []
    assert hub.slow_clients == 0
    assert found["events_among_snapshots"] > 50
    assert found["complete_s"]["most"] > 1.0  # else the line was none


async def test_requests_are_answered_while_snapshots_come(full_streams):
    hub = Hub()
    await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port) as listener,
    ):
        await listener.say("request", {"id": 1, "type": "snapshot", "stream": full_streams[-1]})
        ops = []
        while "response" not in ops:
            ops.append((await listener.hear())["op"])
        assert len(ops) < len(full_streams) / 2
        while ops.count("snapshot") < len(full_streams):
            ops.append((await listener.hear())["op"])


async def test_what_is_subscribed_to_meanwhile_is_heard(full_streams):
    hub = Hub()
    feeds = await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port, subscribe=["boundary"]) as listener,
    ):
        await listener.ask("subscribe", subscribe=["meter"])
        while (await listener.wait_for("snapshot"))["stream"] != full_streams[-1]:
            pass
        for feed in (feeds[0], feeds[-1]):
            feed.publish(feed.talker.meter())
            (event,) = await listener.events(1)
            assert (event["type"], event["source"]) == ("streamseg.meter.v1", f"/streams/{feed.stream}")
    assert not any(stream._clients for stream in hub.streams.values())


async def test_few_snapshots_are_inside_identified():
    hub = Hub()
    await fill(hub, ["mic", "line"])
    async with serve(hub, port=0) as server, client(server.port) as listener:
        assert [len(at["snapshot"]["recent"]) for at in listener.identified["streams"].values()] == [50, 50]


async def test_who_recovered_gets_no_snapshots_that_follow(full_streams, tmp_path):
    hub = Hub(history=tmp_path / "history.sqlite")
    async with asyncio.timeout(60), serve(hub, port=0) as server:
        feeds = await fill(hub, full_streams)
        joiner = Joiner(f"ws://127.0.0.1:{server.port}/ws", full_streams)
        await joiner.run(0.0)
        assert joiner.progress.faults == []
        feeds[3].step()
        while hub.streams[full_streams[3]].offset != feeds[3].sequencer.offset:
            await asyncio.sleep(0.01)  # sent, and so written: it can be replayed
        resume = {name: {"epoch": at.epoch, "offset": at.offset} for name, at in joiner.cursors.items()}
        del resume[full_streams[7]]
        async with client(server.port, resume=resume) as listener:
            streams = listener.identified["streams"]
            assert [name for name, at in streams.items() if not at["recovered"]] == [full_streams[7]]
            assert not any("snapshot" in at for at in streams.values())
            ops = []
            while not ops or ops[-1][0] != "snapshot":
                message = await listener.hear()
                ops.append((message["op"], message["d"].get("stream")))
            replayed = streams[full_streams[3]]["replayed"]
            assert ops == [*[("event", None)] * replayed, ("snapshot", full_streams[7])]


async def test_a_snapshot_larger_than_the_limit_closes_nobody(full_streams):
    hub = Hub(ServerSettings(max_queue_bytes=4096))
    await fill(hub, full_streams[:5])
    async with serve(hub, port=0) as server, stranger(server.port) as listener:
        await listener.identify()
        got = [await listener.wait_for("snapshot") for _ in range(5)]
        assert [d["stream"] for d in got] == full_streams[:5]


async def test_a_burst_that_a_good_line_has_had_no_time_to_carry_closes_nobody(full_streams):
    hub = Hub()
    feeds = await fill(hub, full_streams)
    async with (
        asyncio.timeout(60),
        serve(hub, port=0) as server,
        slow_line(server.port, LINE_BYTES_PER_S) as port,
        client(port) as listener,
    ):
        for _ in range(40):
            await listener.wait_for("snapshot")
        for feed in feeds:  # 720 KB at once to this client, which hears forty by now; `max_queue_bytes` is 524 KB
            feed.publish(e.Event("stream", e.StreamTitle(t=0.0, title="x" * 18_000)))
        assert len(await listener.events(40)) == 40
        assert hub.slow_clients == 0
