"""Batches of events, their retention, and the topics that clients filter them by: whole, and at their limits."""

from __future__ import annotations

import sqlite3

import pytest

from streamseg.history import retention
from streamseg.history.batches import EncodedEvent, batch_events_by_epoch
from streamseg.history.database import MIGRATIONS
from streamseg.history.migrations import migrate_database
from streamseg.history.retention import prune_oldest_events
from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer, decode_envelope, make_envelope
from streamseg.wire.progress import StreamProgress
from streamseg.wire.topics import HIGH_VOLUME_TOPICS, TOPICS, TopicFilter

PROGRESS = StreamProgress(3.0, 2.0)
TITLE = e.Event("stream", e.StreamTitle(t=1.0, title="x"))
METER = e.Event("meter", e.MeterReading(t=1.0, rms_db=None, peak_db=None))


def encoded(epochs: str) -> list:
    """An event for each letter, of the epoch that the letter names."""
    sequencers = {epoch: EventSequencer("mic", epoch, lambda: 0.0) for epoch in epochs}
    return [EncodedEvent.from_envelope(sequencers[epoch].stamp_events([TITLE])[0]) for epoch in epochs]


@pytest.mark.parametrize(
    ("epochs", "sizes"),
    [
        ("", []),
        ("a", [1]),
        ("aaab", [3, 1]),
        ("aba", [1, 1, 1]),
        ("a" * 64, [64]),
        ("a" * 65, [64, 1]),
        ("a" * 129 + "b", [64, 64, 1, 1]),
    ],
)
def test_a_batch_is_of_one_epoch_and_bounded_and_the_last_has_the_progress(epochs, sizes):
    events = encoded(epochs)
    batches = batch_events_by_epoch("mic", events, PROGRESS)
    assert [len(batch.events) for batch in batches] == sizes
    assert [event for batch in batches for event in batch.events] == events
    assert all({event.envelope.epoch for event in batch.events} == {batch.epoch} for batch in batches)
    assert {batch.stream for batch in batches} <= {"mic"}
    assert [batch.progress for batch in batches] == [None] * (len(sizes) - 1) + [PROGRESS] * bool(sizes)


def test_an_encoded_event_has_its_topic_and_its_text():
    envelopes = EventSequencer("mic", "E", lambda: 0.0).stamp_events([TITLE, METER])
    title, meter = (EncodedEvent.from_envelope(envelope) for envelope in envelopes)
    assert (title.topic, title.is_high_volume) == ("stream", False)
    assert (meter.topic, meter.is_high_volume) == ("meter", True)
    assert decode_envelope(title.json) == title.envelope


def test_an_envelope_made_by_itself_is_the_sequencer_s():
    (stamped,) = EventSequencer("mic", "E", lambda: 1.6e9).stamp_events([TITLE])
    assert stamped == make_envelope(
        TITLE, stream="mic", epoch="E", offset=1, rev=1, time="2020-09-13T12:26:40.000Z", id="E:1"
    )


class TestTopicFilter:
    def test_high_volume_must_be_asked_for(self):
        assert TopicFilter.from_identify(None, "provisional") == TopicFilter()
        assert TopicFilter().topics == TOPICS - HIGH_VOLUME_TOPICS
        assert TopicFilter().with_topics(["meter"]).matches_event("meter", e.MeterReading.type)
        assert not TopicFilter().matches_event("meter", e.MeterReading.type)

    def test_topics_come_and_go(self):
        chosen = TopicFilter.from_identify(["sound"], "confirmed").with_topics(["alarm"]).without_topics(["sound"])
        assert chosen == TopicFilter(frozenset(["alarm"]), "confirmed")
        assert chosen.with_topics(["label"]).sorted_topics() == ["alarm", "label"]

    @pytest.mark.parametrize("min_state", ["provisional", "confirmed"])
    def test_unconfirmed_boundaries(self, min_state):
        wanted = TopicFilter(min_state=min_state)
        for kind in (e.BoundaryProvisional, e.BoundaryRetracted):
            assert wanted.matches_event("boundary", kind.type) == (min_state == "provisional")
        assert wanted.matches_event("boundary", e.BoundaryConfirmed.type)


class TestRetention:
    """Each letter is an event of the stream that it names; events are a second apart."""

    @pytest.fixture
    def db(self):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate_database(connection, MIGRATIONS)
        connection.execute("INSERT INTO stream VALUES (1, 'a'), (2, 'b')")
        yield connection
        connection.close()

    def record(self, db, streams: str) -> None:
        for second, stream in enumerate(streams, 1):
            db.execute(
                "INSERT INTO event (stream_id, epoch_id, offset, type, kept_at, json) VALUES (?, 1, ?, '', ?, '')",
                ("ab".index(stream) + 1, second, second),
            )

    def left(self, db) -> str:
        return "".join("ab"[stream - 1] for (stream,) in db.execute("SELECT stream_id FROM event ORDER BY offset"))

    @pytest.mark.parametrize(
        ("streams", "events", "since", "left"),
        [
            ("aaaa", 4, 0, "aaaa"),
            ("aaaa", 3, 0, "aaa"),
            ("aaaa", 0, 0, ""),
            ("aabab", 2, 0, "abab"),
            ("aaaa", 9, 3, "aa"),
            ("aaaa", 9, 3.5, "a"),
            ("abab", 9, 9, ""),
        ],
    )
    def test_the_oldest_of_each_stream_go(self, db, streams, events, since, left):
        self.record(db, streams)
        assert not prune_oldest_events(db, events, since)
        assert self.left(db) == left

    def test_only_so_many_at_a_time(self, db, monkeypatch):
        monkeypatch.setattr(retention, "_PRUNE_ROWS", 2)
        self.record(db, "aaaaa")
        assert prune_oldest_events(db, 0, 0)
        assert self.left(db) == "aaa"
        assert prune_oldest_events(db, 0, 0)
        assert not prune_oldest_events(db, 0, 0)
        assert self.left(db) == ""

    def test_a_clock_set_back_makes_no_hole(self, db):
        self.record(db, "aaa")
        db.execute("UPDATE event SET kept_at = 4 - kept_at")  # the newest now looks the oldest
        assert not prune_oldest_events(db, 9, 3)
        assert self.left(db) == "aaa"

    def test_empty_epochs_are_kept_for_a_while(self, db, monkeypatch):
        monkeypatch.setattr(retention, "_MAX_EMPTY_EPOCHS", 2)
        db.executemany(
            "INSERT INTO epoch (id, stream_id, epoch, closed) VALUES (?, 1, ?, ?)",
            [(1, "1", 1), (2, "2", 0), (3, "3", 1), (4, "4", 1), (5, "5", 1)],
        )
        self.record(db, "a")
        prune_oldest_events(db, 9, 0)
        assert [number for (number,) in db.execute("SELECT id FROM epoch ORDER BY id")] == [1, 2, 3, 4, 5]
        prune_oldest_events(db, 0, 0)
        assert [number for (number,) in db.execute("SELECT id FROM epoch ORDER BY id")] == [2, 3, 4, 5]

    def test_a_deletion_takes_at_most_2000_events_of_a_stream(self, db):
        self.record(db, "a" * 2001)
        assert prune_oldest_events(db, 0, 0)
        assert self.left(db) == "a"

    def test_the_old_empty_epochs_of_a_stream_that_goes_on_are_deleted_but_for_the_newest_1000(self, db):
        db.executemany(
            "INSERT INTO epoch (id, stream_id, epoch, closed) VALUES (?, 1, ?, 1)",
            [(number, str(number)) for number in range(1, 1004)],
        )
        self.record(db, "a")
        db.execute("UPDATE event SET epoch_id = 1003")
        prune_oldest_events(db, 9, 0)
        assert self.left(db) == "a"
        assert db.execute("SELECT min(id), count(*) FROM epoch").fetchone() == (3, 1001)
