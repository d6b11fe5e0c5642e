"""Deletes the oldest events of a history when they exceed its limits."""

from __future__ import annotations

import sqlite3

_PRUNE_ROWS = 2000  # deleted at a time: a commit must not wait long behind a deletion
_MAX_EMPTY_EPOCHS = 1000  # kept after their last event is deleted, so that a cursor at their end is still valid


def prune_oldest_events(db: sqlite3.Connection, max_events: int, since_unix_s: float) -> bool:
    """Delete the oldest events that exceed the limits, at most 2000 per stream; return True if more may have to go.

    max_events: how many events of a stream may stay. since_unix_s: events recorded before this time are deleted. Always
    the oldest are deleted, in order, whatever the clock did: what is left has no holes.
    """
    has_more = False
    for (stream_id,) in db.execute("SELECT id FROM stream").fetchall():
        (count,) = db.execute("SELECT count(*) FROM event WHERE stream_id=?", (stream_id,)).fetchone()
        oldest = db.execute(
            "SELECT id, kept_at FROM event WHERE stream_id=? ORDER BY epoch_id, offset LIMIT ?",
            (stream_id, _PRUNE_ROWS),
        ).fetchall()
        expired_count = 0
        while expired_count < len(oldest) and (
            count - expired_count > max_events or oldest[expired_count][1] < since_unix_s
        ):
            expired_count += 1
        db.executemany("DELETE FROM event WHERE id=?", [(row[0],) for row in oldest[:expired_count]])
        has_more = has_more or expired_count == _PRUNE_ROWS
    db.execute(
        "DELETE FROM epoch WHERE closed AND id < (SELECT max(id) FROM epoch) - ?"
        " AND NOT EXISTS (SELECT 1 FROM event WHERE event.stream_id = epoch.stream_id AND epoch_id = epoch.id)",
        (_MAX_EMPTY_EPOCHS,),
    )
    return has_more
