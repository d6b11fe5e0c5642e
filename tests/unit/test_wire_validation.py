"""Messages that the AsyncAPI document accepts and refuses."""

from __future__ import annotations

import jsonschema
import pytest

from streamseg.wire.schemas import make_asyncapi_document


def accepts(op: str, d: object, **fields: object) -> bool:
    components = make_asyncapi_document("radio.example:8765", secure=True)["components"]
    schema = {**components["messages"][op]["payload"], "components": components}
    return jsonschema.Draft202012Validator(schema).is_valid({"op": op, "d": d, **fields})


@pytest.mark.parametrize(
    ("op", "d", "is_valid"),
    [
        ("request", {"id": 1, "type": "finish", "stream": "mic"}, True),
        ("request", {"id": "x" * 200, "type": "finish", "stream": "mic"}, True),
        ("request", {"id": "x" * 201, "type": "finish", "stream": "mic"}, False),
        ("request", {"id": None, "type": "finish", "stream": "mic"}, False),
        ("request", {"type": "finish", "stream": "mic"}, False),
        ("request", {"id": 1, "stream": "mic"}, False),
        ("request", {"id": 1, "type": "weather", "stream": "mic"}, False),
        ("request", {"id": 1, "type": "finish", "stream": ""}, False),
        ("request", {"id": 1, "type": "set", "stream": "mic", "sensitivity": 1.5}, False),
        ("request", {"id": 1, "type": "subscribe", "subscribe": ["weather"]}, False),
        ("response", {"id": 1, "ok": True}, True),
        ("response", {"id": 1}, False),
        ("response", {"ok": True}, False),
        ("response", {"id": 1, "ok": False}, False),  # a refusal needs its error
        ("response", {"id": 1, "ok": False, "error": {"code": 204, "message": "no such type"}}, True),
        ("response", {"id": 1, "ok": False, "error": {"code": 204}}, False),
        ("identify", {"protocol": 1}, True),
        ("identify", {"protocol": 1, "subscribe": ["weather"]}, False),
        ("identify", {}, False),
        ("dropped", {"type": "meter", "n": 3}, True),
        ("dropped", {"type": "meter"}, False),
    ],
)
def test_a_message_is_accepted_or_refused(op, d, is_valid):
    assert accepts(op, d) is is_valid


def test_an_event_message_may_have_a_mark_that_it_is_not_recorded():
    event = {
        "specversion": "1.0",
        "id": "E:1",
        "source": "/streams/mic",
        "type": "streamseg.stream.title.v1",
        "subject": "stream",
        "time": "2020-09-13T12:26:40.250Z",
        "datacontenttype": "application/json",
        "epoch": "E",
        "offset": 1,
        "rev": 1,
        "data": {"t": 1.0, "title": "x"},
    }
    assert accepts("event", event)
    assert accepts("event", event, kept=False)
    assert accepts("event", event | {"traceparent": "00"})  # an attribute that an intermediary added
    assert accepts("event", event | {"data": {"t": 1.0, "title": "x", "new": 1}})
    assert not accepts("event", event, kept=True)
    for wrong in ({"offset": 0}, {"rev": 0}, {"specversion": "0.3"}, {"data": {"t": 1.0}}, {"time": 7}):
        assert not accepts("event", event | wrong)
