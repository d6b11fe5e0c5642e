"""Reads the history, for clients that resume or request events.

It has its own thread and connection: in WAL mode it never blocks the writer, and the event loop awaits it without
being blocked.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from streamseg.history.sqlite_file import connect_beside_writer
from streamseg.wire import requests as r
from streamseg.wire.event_data import topic_of_type
from streamseg.wire.messages import EventCursor
from streamseg.wire.topics import TopicFilter

log = logging.getLogger(__name__)

READ_EVENTS = 100  # at once during a replay; must fit well within a client's queue
_MAX_RESPONSE_EVENTS = 1000
_T = TypeVar("_T")


class StoredEvent(NamedTuple):
    """One event read from the history: epoch, offset, type, and the envelope as JSON text, as clients received it."""

    epoch: str
    offset: int
    type: str
    json: str


class HistoryReader:
    """Reads events from one history file, in a thread of its own; a method returns None if the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="streamseg-replay")

    async def count_events_after(
        self, stream: str, cursor: EventCursor, head: EventCursor, topic_filter: TopicFilter
    ) -> int | None:
        """Count the events selected by the filter after `cursor`, up to `head`; None if an event between is missing."""
        return await self._run_query(lambda db: _count_wanted_events(db, stream, cursor, head, topic_filter))

    async def read_events_after(self, stream: str, cursor: EventCursor, head: EventCursor) -> list[StoredEvent] | None:
        """Return the next events after `cursor`, up to `head` and at most 100; None if an event between is missing."""
        return await self._run_query(lambda db: _read_events_after(db, stream, cursor, head))

    async def make_history_response(
        self, id: int | str, request: r.HistoryRequest, limit_bytes: int
    ) -> r.HistoryResponse | None:
        """Read the events that `request` asks for; return the response to send, or None if the epoch is not recorded.

        id: of the request. limit_bytes: of the events' JSON together; a first event that is longer is returned too. At
        most 1000 events are returned; `next` in the response is the offset of the next one.
        """
        rows = await self._run_query(
            lambda db: _read_epoch(db, request.stream, request.epoch, request.first, request.last)
        )
        if rows is None:
            return None
        size = 0
        fitting: list[StoredEvent] = []
        for row in rows:
            size += len(row.json)
            if fitting and size > limit_bytes:
                break
            fitting.append(row)
        has_more = len(fitting) < len(rows) or len(rows) == _MAX_RESPONSE_EVENTS
        return r.HistoryResponse(
            id=id,
            stream=request.stream,
            epoch=request.epoch,
            events=[msgspec.Raw(row.json.encode()) for row in fitting],
            next=fitting[-1].offset + 1 if has_more and fitting[-1].offset < request.last else None,
        )

    async def close(self) -> None:
        """Close the history file, and end the thread that reads it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _run_query(self, query: Callable[[sqlite3.Connection], _T | None]) -> _T | None:
        def read() -> _T | None:
            try:
                if self._connection is None:
                    self._connection = connect_beside_writer(self._path)
                    self._connection.execute("PRAGMA query_only=1")
                self._connection.execute("BEGIN")  # one state of the history for all statements of a query
                try:
                    return query(self._connection)
                finally:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.warning("history %s cannot be read: %s", self._path, error)
                self._disconnect()
                return None

        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_UNWRITTEN_EPOCH = 2**62


class _HistorySpan(NamedTuple):
    """A range of events by row ids: after (epoch_id, offset), up to and including (head_epoch_id, head_offset)."""

    stream_id: int
    epoch_id: int
    offset: int
    head_epoch_id: int
    head_offset: int


_SELECT_FIRST = (
    "SELECT epoch_id, offset FROM event WHERE stream_id=? AND (epoch_id, offset) > (?, ?)"
    " AND (epoch_id, offset) <= (?, ?) ORDER BY epoch_id, offset LIMIT 1"
)
_SELECT_COUNTS = (
    "SELECT type, count(*) FROM event WHERE stream_id=? AND (epoch_id, offset) > (?, ?)"
    " AND (epoch_id, offset) <= (?, ?) GROUP BY type"
)
_SELECT_EVENTS = (
    "SELECT epoch, offset, type, json FROM event JOIN epoch ON epoch.id = epoch_id"
    " WHERE event.stream_id=? AND (epoch_id, offset) > (?, ?) AND (epoch_id, offset) <= (?, ?)"
    " ORDER BY epoch_id, offset LIMIT ?"
)


def _find_span(db: sqlite3.Connection, stream: str, cursor: EventCursor, head: EventCursor) -> _HistorySpan | None:
    """Find the span after `cursor` up to `head`; None unless every event in it is recorded."""
    epochs = {
        epoch: (stream_id, epoch_id, last_offset)
        for epoch, stream_id, epoch_id, last_offset in db.execute(
            "SELECT epoch, stream.id, epoch.id, last_offset FROM epoch JOIN stream ON stream.id = stream_id"
            " WHERE name=? AND epoch IN (?, ?)",
            (stream, cursor.epoch, head.epoch),
        )
    }
    if cursor.epoch not in epochs:
        return None
    stream_id, epoch_id, last_offset = epochs[cursor.epoch]
    # An epoch without events may not be recorded yet; it will come after all that are.
    _, head_epoch_id, head_last = epochs.get(head.epoch, (stream_id, _UNWRITTEN_EPOCH, 0))
    span = _HistorySpan(stream_id, epoch_id, cursor.offset, head_epoch_id, head.offset)
    if epoch_id > head_epoch_id or cursor.offset > last_offset or head.offset > head_last:
        return None
    select_broken = "SELECT 1 FROM epoch WHERE stream_id=? AND id BETWEEN ? AND ? AND broken"
    if db.execute(select_broken, (stream_id, epoch_id, head_epoch_id)).fetchone():
        return None
    # Only the oldest events are deleted, so where the first event is still there, all are.
    first = db.execute(_SELECT_FIRST, span).fetchone()
    if first is None and epoch_id == head_epoch_id:
        return span if cursor.offset == head.offset else None
    if first is None and head.offset > 0:
        return None
    if first is None:
        first = (head_epoch_id, 1)  # the epoch of the head has no events yet; none must lie between
    if first == (epoch_id, cursor.offset + 1):
        return span
    if cursor.offset != last_offset or first[1] != 1:
        return None
    select_pruned = "SELECT 1 FROM epoch WHERE stream_id=? AND id > ? AND id < ? AND (last_offset > 0)"
    if db.execute(select_pruned, (stream_id, epoch_id, first[0])).fetchone():
        return None
    return span


def _count_wanted_events(
    db: sqlite3.Connection, stream: str, cursor: EventCursor, head: EventCursor, topic_filter: TopicFilter
) -> int | None:
    span = _find_span(db, stream, cursor, head)
    if span is None:
        return None
    counts: list[tuple[str, int]] = db.execute(_SELECT_COUNTS, span).fetchall()
    return sum(n for type_, n in counts if topic_filter.matches_event(topic_of_type(type_), type_))


def _read_events_after(
    db: sqlite3.Connection, stream: str, cursor: EventCursor, head: EventCursor
) -> list[StoredEvent] | None:
    span = _find_span(db, stream, cursor, head)
    if span is None:
        return None
    return [StoredEvent(*row) for row in db.execute(_SELECT_EVENTS, (*span, READ_EVENTS))]


def _read_epoch(db: sqlite3.Connection, stream: str, epoch: str, first: int, last: int) -> list[StoredEvent] | None:
    ids = db.execute(
        "SELECT stream.id, epoch.id FROM epoch JOIN stream ON stream.id = stream_id WHERE name=? AND epoch=?",
        (stream, epoch),
    ).fetchone()
    if ids is None:
        return None
    rows = db.execute(
        "SELECT ?, offset, type, json FROM event WHERE stream_id=? AND epoch_id=? AND offset BETWEEN ? AND ?"
        " ORDER BY offset LIMIT ?",
        (epoch, *ids, first, last, _MAX_RESPONSE_EVENTS),
    )
    return [StoredEvent(*row) for row in rows]
