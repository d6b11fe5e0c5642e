"""What the reader answers from a history, and what a crash leaves of one that was marked incomplete."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from integration.history.event_log import log
from integration.history.history_files import part

from streamseg.history.batches import EncodedEvent, EventBatch
from streamseg.history.reader import HistoryReader
from streamseg.history.writer import HistoryWriter
from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer
from streamseg.wire.messages import EventCursor
from streamseg.wire.requests import HistoryRequest, HistoryResponse
from streamseg.wire.topics import TopicFilter
from tools.load.event_feed import Talker


@pytest.fixture
def writer(path) -> Iterator[HistoryWriter]:
    writer = HistoryWriter(path)
    yield writer
    writer.close()


@pytest.fixture
async def reader(path):
    reader = HistoryReader(path)
    yield reader
    await reader.close()


def record(writer: HistoryWriter, epoch: str, count: int) -> list[bytes]:
    """Write an epoch of the stream "mic" that is not closed; return the events' JSON."""
    talker = Talker()
    said = [talker.start(), *(talker.provisional() for _ in range(count - 1))]
    stamped = EventSequencer("mic", epoch, time.time).stamp_events(said)
    events = tuple(EncodedEvent.from_envelope(envelope) for envelope in stamped)
    writer.append_batches([EventBatch("mic", epoch, events, None)])
    return [event.json for event in events]


def request(first: int, last: int) -> HistoryRequest:
    return HistoryRequest("mic", "01A", first, last)


def response(id: int | str, events: list[bytes], next: int | None) -> HistoryResponse:
    return HistoryResponse(id=id, stream="mic", epoch="01A", events=[msgspec.Raw(json) for json in events], next=next)


async def offsets_after(reader: HistoryReader, cursor: tuple[str, int], head: tuple[str, int]) -> list[int] | None:
    """Return the offsets that are read after the cursor, having checked that as many are counted."""
    span = EventCursor(*cursor), EventCursor(*head)
    rows = await reader.read_events_after("mic", *span)
    assert await reader.count_events_after("mic", *span, TopicFilter()) == (None if rows is None else len(rows))
    return None if rows is None else [row.offset for row in rows]


@pytest.mark.parametrize("id", [7, "seven"])
async def test_a_response_names_its_request_stream_and_epoch(writer, reader, id):
    said = record(writer, "01A", 5)
    assert await reader.make_history_response(id, request(2, 4), 100_000) == response(id, said[1:4], None)


async def test_a_response_is_filled_up_to_its_limit_exactly(writer, reader):
    said = record(writer, "01A", 5)
    two = len(said[0]) + len(said[1])
    for limit, fitting in ((two - 1, 1), (two, 2), (two + len(said[2]) - 1, 2), (two + len(said[2]), 3)):
        answer = await reader.make_history_response(1, request(1, 5), limit)
        assert answer == response(1, said[:fitting], fitting + 1)


async def test_a_first_event_beyond_the_limit_is_returned_alone(writer, reader):
    said = record(writer, "01A", 3)
    assert await reader.make_history_response(1, request(1, 3), 1) == response(1, said[:1], 2)
    assert await reader.make_history_response(1, request(3, 3), 1) == response(1, said[2:], None)


async def test_a_full_response_names_a_next_event_only_if_one_was_asked_for(writer, reader):
    said = record(writer, "01A", 1002)
    for last, next_ in ((999, None), (1000, None), (1001, 1001)):
        answer = await reader.make_history_response(1, request(1, last), 10_000_000)
        assert answer == response(1, said[: min(last, 1000)], next_)


async def test_nothing_is_missed_at_the_head(writer, reader):
    record(writer, "01A", 3)
    assert await offsets_after(reader, ("01A", 3), ("01A", 3)) == []
    assert await offsets_after(reader, ("01A", 1), ("01A", 1)) == []


async def test_a_cursor_behind_the_head_has_no_span(writer, reader):
    record(writer, "01A", 3)
    record(writer, "01B", 2)
    assert await offsets_after(reader, ("01A", 2), ("01A", 1)) is None
    for cursor_offset in (0, 1, 2):
        for head_offset in (0, 1, 3):
            assert await offsets_after(reader, ("01B", cursor_offset), ("01A", head_offset)) is None


async def test_a_cursor_beyond_its_epochs_end_has_no_span(writer, reader):
    record(writer, "01A", 3)
    record(writer, "01B", 2)
    assert await offsets_after(reader, ("01A", 4), ("01A", 4)) is None
    assert await offsets_after(reader, ("01A", 4), ("01B", 2)) is None
    assert await offsets_after(reader, ("01A", 3), ("01B", 2)) == [1, 2]


async def test_a_head_that_is_not_recorded_yet_has_no_span(writer, reader):
    record(writer, "01A", 3)
    assert await offsets_after(reader, ("01A", 0), ("01A", 3)) == [1, 2, 3]
    assert await offsets_after(reader, ("01A", 0), ("01A", 4)) is None
    assert await offsets_after(reader, ("01A", 0), ("not begun yet", 0)) == [1, 2, 3]
    assert await offsets_after(reader, ("01A", 0), ("not begun yet", 1)) is None


async def test_a_span_whose_only_event_was_deleted_is_not_recorded(writer, reader):
    record(writer, "01A", 2)
    record(writer, "01B", 1)
    assert await offsets_after(reader, ("01A", 2), ("01B", 1)) == [1]
    writer.prune_events(0, 0.0)
    assert await offsets_after(reader, ("01A", 2), ("01B", 1)) is None
    assert await offsets_after(reader, ("01A", 2), ("01B", 0)) == []


async def test_a_span_whose_next_epoch_lost_its_start_is_not_recorded(writer, reader):
    record(writer, "01A", 2)
    record(writer, "01B", 3)
    writer.prune_events(2, 0.0)
    assert await offsets_after(reader, ("01A", 2), ("01B", 3)) is None
    assert await offsets_after(reader, ("01B", 1), ("01B", 3)) == [2, 3]


async def test_a_span_whose_first_epoch_lost_its_end_is_not_recorded(writer, reader):
    record(writer, "01A", 2)
    record(writer, "01B", 3)
    writer.prune_events(3, 0.0)
    assert await offsets_after(reader, ("01A", 1), ("01B", 3)) is None
    assert await offsets_after(reader, ("01A", 2), ("01B", 3)) == [1, 2, 3]


async def test_a_span_that_lost_an_epoch_in_between_is_not_recorded(writer, reader):
    for epoch in ("01A", "01B", "01C"):
        record(writer, epoch, 2)
    assert await offsets_after(reader, ("01A", 2), ("01C", 2)) == [1, 2, 1, 2]
    writer.prune_events(2, 0.0)
    assert await offsets_after(reader, ("01A", 2), ("01C", 2)) is None
    assert await offsets_after(reader, ("01B", 2), ("01C", 2)) == [1, 2]


async def test_a_history_that_cannot_be_read_is_named_in_a_warning_and_tried_again(path, reader, caplog):
    assert await reader.make_history_response(1, request(1, 2), 100_000) is None
    assert caplog.messages == [f"history {path} cannot be read: unable to open database file"]
    writer = HistoryWriter(path)
    said = record(writer, "01A", 2)
    assert await reader.make_history_response(1, request(1, 2), 100_000) == response(1, said, None)
    writer.close()
    assert len(caplog.messages) == 1


def ends_after_a_crash(path: Path, copy: Path) -> list[dict]:
    """Open the files of a running history as a crash would leave them now; return the ends that this adds to it."""
    shutil.copytree(path.parent, copy)
    before = log(copy / path.name)
    HistoryWriter(copy / path.name).close()
    return [{"epoch": d["epoch"], "type": d["type"]} for d in log(copy / path.name)[len(before) :]]


def test_epochs_are_whole_again_after_the_incomplete_ones_were_marked(path, tmp_path, writer):
    record(writer, "01A", 2)
    writer.mark_history_incomplete()
    assert part(path, ".lock").read_bytes() == b"0"
    assert ends_after_a_crash(path, tmp_path / "crashed while incomplete") == []
    writer.mark_epochs_incomplete([("mic", "01A")])
    record(writer, "01B", 2)
    assert ends_after_a_crash(path, tmp_path / "crashed") == [{"epoch": "01B", "type": e.StreamStopped.type}]


def test_epochs_are_whole_again_after_a_start_on_an_incomplete_history(path, tmp_path):
    for epoch in ("01A", "01B"):
        writer = HistoryWriter(path)
        record(writer, epoch, 2)
        if epoch == "01A":
            writer.mark_history_incomplete()
            writer.close()
    assert ends_after_a_crash(path, tmp_path / "crashed") == [{"epoch": "01B", "type": e.StreamStopped.type}]
    writer.close()
