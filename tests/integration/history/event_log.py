"""What a history holds, and when everything said is in it."""

from __future__ import annotations

import asyncio
import json
import sqlite3

from streamseg.wire.messages import EventCursor
from tools.load.event_feed import Feed


def log(path) -> list[dict]:
    """Everything in the file, in its order."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT json FROM event ORDER BY stream_id, epoch_id, offset").fetchall()
    db.close()
    return [json.loads(row[0]) for row in rows]


def cursor(event: dict) -> dict:
    return {"epoch": event["epoch"], "offset": event["offset"]}


async def settled(feed: Feed) -> None:
    """Wait until everything said was sent."""
    stream = feed.hub.streams[feed.stream]
    async with asyncio.timeout(60):
        while stream.cursor != EventCursor(feed.said[-1].epoch, feed.said[-1].offset):
            await asyncio.sleep(0.005)
