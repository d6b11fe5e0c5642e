"""The exact contents of the schemas and of the AsyncAPI document."""

from __future__ import annotations

import inspect
import json

import pytest

from streamseg import __version__
from streamseg.wire import events as e
from streamseg.wire import requests as r
from streamseg.wire.schemas import make_asyncapi_document, make_event_schema, make_event_schemas

TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}

NAME_OF_STREAM = {"type": "string", "minLength": 1, "maxLength": 200}

TITLE_DATA = {
    "title": "StreamTitle",
    "description": e.StreamTitle.__doc__,
    "type": "object",
    "properties": {"t": NUMBER, "title": TEXT},
    "required": ["t", "title"],
    "additionalProperties": True,
}

TITLE_FIELDS = {
    "specversion": {"const": "1.0"},
    "id": TEXT,
    "source": TEXT,
    "type": {"const": "streamseg.stream.title.v1"},
    "subject": TEXT,
    "time": {"type": "string", "format": "date-time"},
    "datacontenttype": TEXT,
    "epoch": TEXT,
    "offset": {"type": "integer", "minimum": 1},
    "rev": {"type": "integer", "minimum": 1},
    "data": {"$ref": "#/$defs/StreamTitle"},
}

TITLE_SCHEMA = {
    "title": "streamseg.stream.title.v1",
    "description": e.StreamTitle.__doc__,
    "type": "object",
    "properties": TITLE_FIELDS,
    "required": list(TITLE_FIELDS),
    "additionalProperties": True,
}

SERVER_OPS = ["hello", "identified", "snapshot", "event", "heartbeat", "dropped", "response"]

CLIENT_OPS = ["identify", "request"]


def asyncapi() -> dict:
    return make_asyncapi_document("radio.example:8765", secure=True)


def definition(name: str) -> dict:
    return asyncapi()["components"]["schemas"][name]


def payload(op: str, schema: str) -> dict:
    return {
        "type": "object",
        "properties": {"op": {"const": op}, "d": {"$ref": f"#/components/schemas/{schema}"}},
        "required": ["op", "d"],
    }


def test_the_schema_of_an_event():
    made = make_event_schema("streamseg.stream.title.v1")
    assert made == TITLE_SCHEMA
    assert made["required"] == list(TITLE_FIELDS)
    assert list(made["properties"]) == list(TITLE_FIELDS)


def test_the_schema_of_a_high_volume_event_has_no_offset():
    made = make_event_schema("streamseg.meter.v1", "#/components/schemas/{name}")
    assert made["properties"]["data"] == {"$ref": "#/components/schemas/MeterReading"}
    assert made["required"] == list(made["properties"]) == [name for name in TITLE_FIELDS if name != "offset"]


def test_a_standalone_schema_has_its_dialect_its_path_and_the_definitions_it_needs():
    schemas = make_event_schemas.__wrapped__()  # without the cache
    assert set(schemas) == {"/schemas/event.json", *(f"/schemas/{name}.json" for name in e.EVENT_TYPES)}
    path = "/schemas/streamseg.stream.title.v1.json"
    assert json.loads(schemas[path]) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": path,
        **TITLE_SCHEMA,
        "$defs": {"StreamTitle": TITLE_DATA},
    }
    assert set(json.loads(schemas["/schemas/streamseg.sound.changed.v1.json"])["$defs"]) == {
        "SoundChanged",
        "SoundConfidence",
    }


def test_the_schema_of_all_events_is_one_of_theirs():
    made = json.loads(make_event_schemas.__wrapped__()["/schemas/event.json"])
    assert list(made) == ["$schema", "$id", "oneOf", "$defs"]
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["$id"] == "/schemas/event.json"
    assert [each["title"] for each in made["oneOf"]] == list(e.EVENT_TYPES)
    assert made["oneOf"][list(e.EVENT_TYPES).index("streamseg.stream.title.v1")] == TITLE_SCHEMA
    assert made["$defs"]["StreamTitle"] == TITLE_DATA
    assert {"SectionClosed", "Report", "SoundConfidence"} <= set(made["$defs"])


def test_the_asyncapi_document_but_for_its_components():
    document = dict(asyncapi())
    components = document.pop("components")
    assert set(components) == {"messages", "schemas"}
    channel = {"$ref": "#/channels/events"}
    assert document == {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamseg",
            "version": __version__,
            "description": "When a live sound changes, what it is, and whether it was heard before.",
        },
        "defaultContentType": "application/json",
        "servers": {"here": {"host": "radio.example:8765", "protocol": "wss"}},
        "channels": {
            "events": {
                "address": "/ws",
                "messages": {op: {"$ref": f"#/components/messages/{op}"} for op in SERVER_OPS + CLIENT_OPS},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "say": {
                "action": "send",
                "channel": channel,
                "messages": [{"$ref": f"#/channels/events/messages/{op}"} for op in SERVER_OPS],
            },
            "hear": {
                "action": "receive",
                "channel": channel,
                "messages": [{"$ref": f"#/channels/events/messages/{op}"} for op in CLIENT_OPS],
            },
        },
    }
    plain = make_asyncapi_document("localhost:80", secure=False)
    assert plain["servers"] == {"here": {"host": "localhost:80", "protocol": "ws"}}


@pytest.mark.parametrize(
    ("op", "schema"),
    [
        ("hello", "Hello"),
        ("identified", "Identified"),
        ("snapshot", "StreamSnapshot"),
        ("heartbeat", "Heartbeat"),
        ("dropped", "EventsDropped"),
        ("identify", "Identify"),
    ],
)
def test_a_message_of_one_form(op, schema):
    assert asyncapi()["components"]["messages"][op] == {
        "name": op,
        "contentType": "application/json",
        "payload": payload(op, schema),
    }
    assert schema in asyncapi()["components"]["schemas"]


def test_messages_of_several_forms():
    messages = asyncapi()["components"]["messages"]
    for op, types in (("request", r.REQUEST_TYPES.values()), ("response", r.RESPONSE_TYPES)):
        assert messages[op] == {
            "name": op,
            "contentType": "application/json",
            "payload": {"anyOf": [payload(op, each.__name__) for each in types]},
        }
    events = [payload("event", name) for name in e.EVENT_TYPES]
    for each in events:
        each["properties"]["kept"] = {"const": False}
    assert messages["event"] == {"name": "event", "contentType": "application/json", "payload": {"anyOf": events}}


def test_events_are_defined_with_their_envelopes_and_without():
    reference = {"data": {"$ref": "#/components/schemas/StreamTitle"}}
    assert definition("streamseg.stream.title.v1") == {**TITLE_SCHEMA, "properties": TITLE_FIELDS | reference}
    assert definition("StreamTitle") == TITLE_DATA
    for data_class in e.EVENT_TYPES.values():
        assert definition(data_class.__name__)["additionalProperties"] is True
    assert "additionalProperties" not in definition("EventsDropped")


REQUEST_ID = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 200}]}

RESPONSE_ID = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


@pytest.mark.parametrize(
    ("type_", "properties", "required"),
    [
        (
            r.FinishRequest,
            {"id": REQUEST_ID, "type": {"enum": ["finish"]}, "stream": NAME_OF_STREAM},
            ["id", "type", "stream"],
        ),
        (
            r.SetSensitivityRequest,
            {
                "id": REQUEST_ID,
                "type": {"enum": ["set"]},
                "stream": NAME_OF_STREAM,
                "sensitivity": {"type": "number", "minimum": 0, "maximum": 1},
            },
            ["id", "type", "stream", "sensitivity"],
        ),
        (r.Response, {"id": RESPONSE_ID, "ok": {"const": True}}, ["id", "ok"]),
        (
            r.SetSensitivityResponse,
            {
                "id": RESPONSE_ID,
                "ok": {"const": True},
                "stream": TEXT,
                "sensitivity": NUMBER,
                "effective": {"enum": ["next_epoch"], "default": "next_epoch"},
            },
            ["id", "ok", "sensitivity", "stream"],
        ),
        (
            r.ErrorResponse,
            {"id": RESPONSE_ID, "ok": {"const": False}, "error": {"$ref": "#/components/schemas/ErrorDetail"}},
            ["error", "id", "ok"],
        ),
    ],
)
def test_the_definition_of_a_request_or_a_response(type_, properties, required):
    assert definition(type_.__name__) == {
        "title": type_.__name__,
        "description": inspect.getdoc(type_),
        "type": "object",
        "properties": properties,
        "required": required,
    }


def test_the_details_of_an_error_are_defined():
    assert definition("ErrorDetail")["properties"] == {"code": INTEGER, "message": TEXT}


@pytest.mark.parametrize("type_", [*r.REQUEST_TYPES.values(), *r.RESPONSE_TYPES])
def test_every_request_and_response_needs_an_id(type_):
    assert "id" in definition(type_.__name__)["required"]
