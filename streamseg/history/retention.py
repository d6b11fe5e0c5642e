"""Retention: the oldest events beyond the limits are deleted."""

from __future__ import annotations

import sqlite3

_PRUNE_ROWS = 2000  # so many at a time: a commit must not wait long behind a pruning


_MAX_EMPTY_EPOCHS = 1000  # after their last event is gone, so that a cursor at their end still means something


def prune_oldest_events(db: sqlite3.Connection, events: int, since: float) -> bool:
    """Drop each stream's oldest events beyond the limits; true when there is more to do."""
    more = False
    for (stream_id,) in db.execute("SELECT id FROM stream").fetchall():
        (count,) = db.execute("SELECT count(*) FROM event WHERE stream_id=?", (stream_id,)).fetchone()
        oldest = db.execute(
            "SELECT id, kept_at FROM event WHERE stream_id=? ORDER BY epoch_id, offset LIMIT ?",
            (stream_id, _PRUNE_ROWS),
        ).fetchall()
        doomed = 0  # always the oldest ones in order, whatever the clock did: what is left has no holes
        while doomed < len(oldest) and (count - doomed > events or oldest[doomed][1] < since):
            doomed += 1
        db.executemany("DELETE FROM event WHERE id=?", [(row[0],) for row in oldest[:doomed]])
        more = more or doomed == _PRUNE_ROWS
    db.execute(
        "DELETE FROM epoch WHERE closed AND id < (SELECT max(id) FROM epoch) - ?"
        " AND NOT EXISTS (SELECT 1 FROM event WHERE event.stream_id = epoch.stream_id AND epoch_id = epoch.id)",
        (_MAX_EMPTY_EPOCHS,),
    )
    return more
