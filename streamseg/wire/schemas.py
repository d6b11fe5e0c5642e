"""Generates machine-readable descriptions of the protocol from its types: JSON Schemas, and an AsyncAPI 3 document."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from streamseg import __version__
from streamseg.wire import messages as m
from streamseg.wire import requests as r
from streamseg.wire.envelope import Envelope
from streamseg.wire.events import EVENT_TYPES, EventData

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SERVER_MESSAGES: dict[str, tuple[type, ...]] = {
    "hello": (m.Hello,),
    "identified": (m.Identified,),
    "snapshot": (m.StreamSnapshot,),
    "event": (),  # every type of event; see `make_event_schema`
    "heartbeat": (m.Heartbeat,),
    "dropped": (m.EventsDropped,),
    "response": r.RESPONSE_TYPES,
}
_CLIENT_MESSAGES: dict[str, tuple[type, ...]] = {"identify": (m.Identify,), "request": tuple(r.REQUEST_TYPES.values())}


def make_event_schema(event_type: str, ref_template: str = "#/$defs/{name}") -> dict[str, Any]:
    """Make the JSON Schema of one type of event, such as `streamseg.boundary.confirmed.v1`, with its envelope.

    ref_template: of the references to other definitions, with `{name}` for their names. The definitions themselves are
    not included.
    """
    data_class = EVENT_TYPES[event_type]
    (envelope,), _ = msgspec.json.schema_components([Envelope], ref_template="{name}")
    properties = dict(_make_definitions([Envelope], ref_template)[envelope["$ref"]]["properties"])
    properties["specversion"] = {"const": "1.0"}
    properties["type"] = {"const": event_type}
    properties["time"] = {"type": "string", "format": "date-time"}
    properties["data"] = {"$ref": ref_template.format(name=data_class.__name__)}
    properties["offset"] = {"type": "integer", "minimum": 1}
    properties["rev"] = {"type": "integer", "minimum": 1}
    if data_class.high_volume:
        del properties["offset"]
    return {
        "title": event_type,
        "description": data_class.__doc__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": True,  # CloudEvents: any intermediary may add an attribute
    }


@functools.cache
def make_event_schemas() -> dict[str, bytes]:
    """Make JSON Schemas as {URL path: JSON text}: one for each type of event, and `event.json` for all of them.

    Each contains all its definitions.
    """
    schemas: dict[str, dict[str, Any]] = {
        f"/schemas/{name}.json": {**make_event_schema(name), "$defs": _make_definitions([data_class], "#/$defs/{name}")}
        for name, data_class in EVENT_TYPES.items()
    }
    schemas["/schemas/event.json"] = {
        "oneOf": [make_event_schema(name) for name in EVENT_TYPES],
        "$defs": _make_definitions(list(EVENT_TYPES.values()), "#/$defs/{name}"),
    }
    return {path: msgspec.json.encode({"$schema": _DIALECT, "$id": path, **schema}) for path, schema in schemas.items()}


def make_asyncapi_document(host: str, *, secure: bool) -> dict[str, Any]:
    """Make the AsyncAPI 3.0 document of a server. host: `NAME:PORT`. secure: clients connect by `wss`, not `ws`."""
    ref_template = "#/components/schemas/{name}"
    types: list[type] = [*EVENT_TYPES.values(), r.ErrorDetail]
    for message_types in (*_SERVER_MESSAGES.values(), *_CLIENT_MESSAGES.values()):
        types.extend(message_types)
    schemas = _make_definitions(types, ref_template)
    messages: dict[str, Any] = {}
    for event_type in EVENT_TYPES:
        schemas[event_type] = make_event_schema(event_type, ref_template)
    for op, message_types in (_SERVER_MESSAGES | _CLIENT_MESSAGES).items():
        names = [message_type.__name__ for message_type in message_types] or list(EVENT_TYPES)
        payloads = [_make_payload(op, {"$ref": ref_template.format(name=name)}) for name in names]
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


def _make_definitions(types: list[type], ref_template: str) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(types, ref_template=ref_template)
    for type_ in types:
        # The data of an event may gain fields; a request has an `id` and, by its tag, a `type`.
        if issubclass(type_, EventData):
            definitions[type_.__name__]["additionalProperties"] = True
        elif type_ in _CLIENT_MESSAGES["request"]:
            definition = definitions[type_.__name__]
            definition["properties"]["id"] = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 200}]}
            definition["required"] = ["id", *definition["required"]]
        elif type_ in r.RESPONSE_TYPES:
            definition = definitions[type_.__name__]
            definition["properties"]["ok"] = {"const": type_ is not r.ErrorResponse}
            definition["required"] = sorted({*definition.get("required", ()), "ok"})
    return definitions
