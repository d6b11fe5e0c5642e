"""The protocol for machines: JSON Schemas and an AsyncAPI 3 document, generated from the types themselves."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from streamseg import __version__
from streamseg.wire import messages as m
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import EVENT_TYPES, EventData

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_RESPONSES = (m.Response, m.SubscribedResponse, m.SetAnswer, m.SnapshotResponse, m.HistoryResponse, m.ErrorResponse)
_SERVER_MESSAGES: dict[str, tuple[type, ...]] = {
    "hello": (m.Hello,),
    "identified": (m.Identified,),
    "snapshot": (m.StreamSnapshot,),
    "event": (),  # every type of event; see `event_schema`
    "heartbeat": (m.Heartbeat,),
    "dropped": (m.Dropped,),
    "response": _RESPONSES,
}
_CLIENT_MESSAGES: dict[str, tuple[type, ...]] = {"identify": (m.Identify,), "request": tuple(m.REQUEST_TYPES.values())}


def make_event_schema(event_type: str, refs: str = "#/$defs/{name}") -> dict[str, Any]:
    """The schema of one type of event, whole; `refs` says where the parts of `data` are found."""
    fact = EVENT_TYPES[event_type]
    (envelope,), _ = msgspec.json.schema_components([Envelope], ref_template="{name}")
    properties = dict(_make_definitions([Envelope], refs)[envelope["$ref"]]["properties"])
    properties["specversion"] = {"const": "1.0"}
    properties["type"] = {"const": event_type}
    properties["time"] = {"type": "string", "format": "date-time"}
    properties["data"] = {"$ref": refs.format(name=fact.__name__)}
    properties["offset"] = {"type": "integer", "minimum": 1}
    properties["rev"] = {"type": "integer", "minimum": 1}
    if fact.high_volume:
        del properties["offset"]
    return {
        "title": event_type,
        "description": fact.__doc__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": True,  # CloudEvents: anybody on the way may add an attribute
    }


@functools.cache
def make_json_schemas() -> dict[str, bytes]:
    """Standalone schemas by path: one for each type of event, and `event.json` for any of them."""
    schemas: dict[str, dict[str, Any]] = {
        f"/schemas/{name}.json": {**make_event_schema(name), "$defs": _make_definitions([fact], "#/$defs/{name}")}
        for name, fact in EVENT_TYPES.items()
    }
    schemas["/schemas/event.json"] = {
        "oneOf": [make_event_schema(name) for name in EVENT_TYPES],
        "$defs": _make_definitions(list(EVENT_TYPES.values()), "#/$defs/{name}"),
    }
    return {path: msgspec.json.encode({"$schema": _DIALECT, "$id": path, **schema}) for path, schema in schemas.items()}


def make_asyncapi(host: str, *, secure: bool) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of a server at `host` (with its port)."""
    refs = "#/components/schemas/{name}"
    everything: list[type] = [*EVENT_TYPES.values(), m.ErrorDetail]
    for kinds in (*_SERVER_MESSAGES.values(), *_CLIENT_MESSAGES.values()):
        everything.extend(kinds)
    schemas = _make_definitions(everything, refs)
    messages: dict[str, Any] = {}
    for event_type in EVENT_TYPES:
        schemas[event_type] = make_event_schema(event_type, refs)
    for op, kinds in (_SERVER_MESSAGES | _CLIENT_MESSAGES).items():
        names = [kind.__name__ for kind in kinds] if kinds else list(EVENT_TYPES)
        payloads = [_make_payload(op, {"$ref": refs.format(name=name)}) for name in names]
        messages[op] = {
            "name": op,
            "contentType": "application/json",
            "payload": payloads[0] if len(payloads) == 1 else {"anyOf": payloads},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamseg",
            "version": __version__,
            "description": "When a live sound changes, what it is, and whether it was heard before.",
        },
        "defaultContentType": "application/json",
        "servers": {"here": {"host": host, "protocol": "wss" if secure else "ws"}},
        "channels": {
            "events": {
                "address": "/ws",
                "messages": {op: {"$ref": f"#/components/messages/{op}"} for op in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "say": _make_operation("send", _SERVER_MESSAGES),
            "hear": _make_operation("receive", _CLIENT_MESSAGES),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _make_operation(action: str, ops: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    channel = "#/channels/events"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{op}"} for op in ops],
    }


def _make_payload(op: str, d: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"op": {"const": op}, "d": d, **({"kept": {"const": False}} if op == "event" else {})},
        "required": ["op", "d"],
    }


def _make_definitions(kinds: list[type], refs: str) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(kinds, ref_template=refs)
    for kind in kinds:
        # A fact may gain fields; a request says its own `id` and, by its tag, its `type`.
        if issubclass(kind, EventData):
            definitions[kind.__name__]["additionalProperties"] = True
        elif kind in _CLIENT_MESSAGES["request"]:
            definition = definitions[kind.__name__]
            definition["properties"]["id"] = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 200}]}
            definition["required"] = ["id", *definition["required"]]
        elif kind in (
            m.SubscribedResponse,
            m.SetAnswer,
            m.SnapshotResponse,
            m.HistoryResponse,
            m.ErrorResponse,
            m.Response,
        ):
            definition = definitions[kind.__name__]
            definition["properties"]["ok"] = {"const": kind is not m.ErrorResponse}
            definition["required"] = sorted({*definition.get("required", ()), "ok"})
    return definitions
