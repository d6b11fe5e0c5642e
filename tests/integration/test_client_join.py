"""How the Python client joins its streams, and what it says of a connection that ends."""

from __future__ import annotations

import asyncio
import json

from websockets.asyncio.server import serve as serve_sockets

from streamseg.cli.subscription_printer import print_subscribed_events
from streamseg.client.protocol import ClientProtocol, Disconnected, StreamJoined
from streamseg.client.subscription import subscribe
from streamseg.wire import messages as m

HELLO = {"protocol": 1, "min_protocol": 1, "auth": None, "streams": ["mic", "line"]}

SNAPSHOT = {"state": "live", "t": 1.0, "recent": []}


def receive(session: ClientProtocol, op: str, **d):
    messages, answer = session.receive_message(json.dumps({"op": op, "d": d}))
    return messages, json.loads(answer)["d"] if answer else None


def test_the_client_joins_a_stream_when_its_snapshot_is_there():
    session = ClientProtocol("ws://x/ws", resume={"mic": m.EventCursor("01A", 7)})
    nowhere = {"epoch": "01B", "offset": 3, "recovered": False, "replayed": 0}
    receive(session, "hello", **HELLO)
    assert receive(session, "identified", streams={"mic": nowhere, "line": nowhere})[0] == []
    assert session.cursors == {"mic": m.EventCursor("01A", 7)}  # a break now must not skip what was never given out
    ((joined,), _) = receive(session, "snapshot", stream="mic", epoch="01B", offset=5, snapshot=SNAPSHOT)
    assert joined == StreamJoined(
        stream="mic", epoch="01B", offset=5, is_recovered=False, replayed_count=0, snapshot=SNAPSHOT
    )
    assert session.cursors == {"mic": m.EventCursor("01B", 5)}
    assert session.snapshots == {"mic": SNAPSHOT}
    assert session.is_recovered == {"mic": False}
    _, identify = receive(session, "hello", **HELLO)
    assert identify["resume"] == {"mic": {"epoch": "01B", "offset": 5}}


def test_the_client_needs_no_snapshot_where_it_recovered():
    session = ClientProtocol("ws://x/ws", resume={"mic": m.EventCursor("01A", 7)})
    receive(session, "hello", **HELLO)
    at = {"epoch": "01A", "offset": 9, "recovered": True, "replayed": 2}
    ((joined,), _) = receive(session, "identified", streams={"mic": at})
    assert (joined.is_recovered, joined.replayed_count, joined.snapshot) == (True, 2, None)
    assert session.cursors == {"mic": m.EventCursor("01A", 7)}


def test_a_server_that_closes_at_once_is_not_asked_again_at_once():
    session = ClientProtocol("ws://x/ws")
    at = {"epoch": "01A", "offset": 9, "recovered": False, "replayed": 0, "snapshot": SNAPSHOT}
    waits = []
    for _ in range(40):
        receive(session, "identified", streams={"mic": at})
        waits.append(session.next_retry_delay_s())
    assert max(waits) > 2
    receive(session, "identified", streams={"mic": at})
    beat = {"epoch": "01A", "t": 1, "watermark": 0, "lag_s": 0, "offset": 9, "dropped_samples": 0}
    receive(session, "heartbeat", streams={"mic": beat})
    assert session.next_retry_delay_s() <= 0.1


async def test_watch_says_why_a_connection_ended_and_what_was_missed(capsys):
    """It used to say that nothing was missed, 53 times, and never that the server had closed it with 4308."""
    streams = [
        {"epoch": "01A", "offset": 9, "recovered": False, "replayed": 0, "snapshot": {**SNAPSHOT, "state": "live"}},
        {"epoch": "01A", "offset": 12, "recovered": True, "replayed": 3},
        {"epoch": "01B", "offset": 0, "recovered": False, "replayed": 0, "snapshot": {**SNAPSHOT, "state": "stopped"}},
    ]
    connections = iter(streams)

    async def be_slow(connection) -> None:
        await connection.send(json.dumps({"op": "hello", "d": HELLO}))
        await connection.recv()
        d = {"protocol": 1, "session": "s", "role": "read", "streams": {"mic": next(connections)}}
        await connection.send(json.dumps({"op": "identified", "d": d}))
        await connection.close(4308, "too \x1b[31mslow")

    async with serve_sockets(be_slow, "127.0.0.1", 0) as server, asyncio.timeout(60):
        port = next(iter(server.sockets)).getsockname()[1]
        await print_subscribed_events(subscribe(f"ws://127.0.0.1:{port}/ws"), as_json=True, until_stopped=True)
    lost = "connection lost (the server closed it with 4308, too \N{REPLACEMENT CHARACTER}[31mslow); trying again"
    assert capsys.readouterr().err.splitlines()[:4] == [
        lost,
        "mic: connected again; no event was missed; 3 events from in between follow",
        lost,
        "mic: connected again; the events in between are lost: the server no longer has them",
    ]


def test_a_connection_that_never_stood_is_not_lost():
    session = ClientProtocol("ws://x/ws")
    assert session.record_disconnection(OSError("refused")) == []
    receive(session, "identified", streams={})
    assert session.record_disconnection(OSError("reset")) == [Disconnected(None, "reset")]
    assert session.record_disconnection(OSError("refused")) == []
