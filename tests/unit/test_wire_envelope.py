"""The exact contents of envelopes, and the exact bytes of messages and frames."""

from __future__ import annotations

import time

import msgspec
import pytest

from streamseg.wire import events as e
from streamseg.wire import frames
from streamseg.wire.envelope import (
    Envelope,
    EventSequencer,
    decode_envelope,
    encode_envelope,
    format_wall_time,
    make_envelope,
)

EPOCH = "01JD0000000000000000000000"
TITLE = e.Event("stream", e.StreamTitle(t=3.0, title="Ä"))
METER = e.Event("stream", e.MeterReading(t=1.0, rms_db=-20.0, peak_db=None))
NOVELTY = e.Event("stream", e.Novelty(t=1.0, value=0.0, threshold=0.5, label=None, label_probabilities={}))


def sequencer() -> EventSequencer:
    return EventSequencer("mic", EPOCH, lambda: 1_600_000_000.25)


def lost(subject: str) -> e.Event:
    return e.Event(subject, e.StreamLost(t=0.0, reason="unplugged"))


def test_an_envelope_has_its_place_in_the_stream_and_the_event():
    made = make_envelope(TITLE, stream="line", epoch="E", offset=7, rev=3, time="2020-09-13T12:26:40.250Z", id="E:7")
    assert made == Envelope(
        specversion="1.0",
        id="E:7",
        source="/streams/line",
        type="streamseg.stream.title.v1",
        subject="stream",
        time="2020-09-13T12:26:40.250Z",
        datacontenttype="application/json",
        epoch="E",
        offset=7,
        rev=3,
        data=e.StreamTitle(t=3.0, title="Ä"),
    )
    assert made.event == TITLE


def test_a_recorded_event_on_the_wire():
    (made,) = sequencer().stamp_events([TITLE])
    assert encode_envelope(made).decode() == (
        '{"specversion":"1.0","id":"01JD0000000000000000000000:1","source":"/streams/mic",'
        '"type":"streamseg.stream.title.v1","subject":"stream","time":"2020-09-13T12:26:40.250Z",'
        '"datacontenttype":"application/json","epoch":"01JD0000000000000000000000","offset":1,"rev":1,'
        '"data":{"t":3.0,"title":"Ä"}}'
    )


def test_a_high_volume_event_has_no_offset_and_is_counted_by_its_type():
    stamping = sequencer()
    made = stamping.stamp_events([METER, NOVELTY, TITLE, METER])
    assert [(each.id, each.offset, each.rev) for each in made] == [
        (f"{EPOCH}:streamseg.meter.v1:1", msgspec.UNSET, 1),
        (f"{EPOCH}:streamseg.novelty.v1:1", msgspec.UNSET, 1),
        (f"{EPOCH}:1", 1, 1),
        (f"{EPOCH}:streamseg.meter.v1:2", msgspec.UNSET, 2),
    ]
    assert "offset" not in msgspec.json.decode(encode_envelope(made[0]))
    assert stamping.offset == 1


def test_offsets_count_events_and_revisions_count_events_of_one_subject():
    stamping = sequencer()
    assert (stamping.stream, stamping.epoch, stamping.offset) == ("mic", EPOCH, 0)
    made = stamping.stamp_events([lost("a"), lost("b"), lost("a")]) + stamping.stamp_events([lost("a")])
    assert [(each.id, each.offset, each.subject, each.rev) for each in made] == [
        (f"{EPOCH}:1", 1, "a", 1),
        (f"{EPOCH}:2", 2, "b", 1),
        (f"{EPOCH}:3", 3, "a", 2),
        (f"{EPOCH}:4", 4, "a", 3),
    ]
    assert {(each.source, each.epoch, each.time) for each in made} == {
        ("/streams/mic", EPOCH, "2020-09-13T12:26:40.250Z")
    }


def test_revisions_of_4096_subjects_are_counted_and_then_the_oldest_is_dropped():
    stamping = sequencer()
    made = stamping.stamp_events([lost(str(n)) for n in range(4096)])
    assert {each.rev for each in made} == {1}
    again = [lost("0"), lost("new"), lost("new"), lost("2"), lost("1"), lost("0")]  # "new" pushes out "1"
    assert [each.rev for each in stamping.stamp_events(again)] == [2, 1, 2, 2, 1, 3]


def test_wall_time_is_utc_with_milliseconds(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    if hasattr(time, "tzset"):
        time.tzset()
    try:
        assert format_wall_time(0.0) == "1970-01-01T00:00:00.000Z"
        assert format_wall_time(1_600_000_000.2504) == "2020-09-13T12:26:40.250Z"
    finally:
        monkeypatch.undo()
        if hasattr(time, "tzset"):
            time.tzset()


def test_an_envelope_is_decoded_to_what_was_encoded():
    for made in sequencer().stamp_events([TITLE, METER, NOVELTY]):
        assert decode_envelope(encode_envelope(made)) == made
        assert decode_envelope(encode_envelope(made).decode()) == made


def test_the_data_of_an_unknown_type_stay_a_dict():
    (made,) = sequencer().stamp_events([TITLE])
    newer = msgspec.structs.replace(made, type="streamseg.stream.weather.v9", data={"rain": True})
    assert decode_envelope(encode_envelope(newer)) == newer
    with pytest.raises(TypeError, match=r"^unknown event type streamseg\.stream\.weather\.v9$"):
        _ = newer.event


def test_data_that_do_not_match_their_type_are_refused():
    (made,) = sequencer().stamp_events([TITLE])
    wrong = msgspec.structs.replace(made, data={"t": "soon", "title": "x"})
    with pytest.raises(msgspec.ValidationError, match="Expected `float`, got `str`"):
        decode_envelope(encode_envelope(wrong))


def test_a_message_is_an_object_of_op_and_d():
    assert frames.encode_message("dropped", {"type": "meter", "n": 3}) == b'{"op":"dropped","d":{"type":"meter","n":3}}'


def test_an_event_message_is_marked_only_while_it_is_not_recorded():
    assert frames.encode_event_message(b'{"id":"E:1"}') == b'{"op":"event","d":{"id":"E:1"}}'
    assert frames.encode_event_message(b"{}", is_recorded=True) == b'{"op":"event","d":{}}'
    assert frames.encode_event_message(b"{}", is_recorded=False) == b'{"op":"event","kept":false,"d":{}}'


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, "81 00"),
        (5, "81 05"),
        (125, "81 7d"),
        (126, "81 7e 00 7e"),
        (65_535, "81 7e ff ff"),
        (65_536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)
def test_a_frame_is_final_unmasked_text_with_its_length(length, head):
    text = b"x" * length
    assert frames.make_text_frame(text) == bytes.fromhex(head) + text
