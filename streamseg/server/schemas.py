"""The protocol for machines: JSON Schemas and an AsyncAPI 3 document, generated from the types themselves."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from streamseg import __version__
from streamseg.envelope import Envelope
from streamseg.events import FACTS, Fact
from streamseg.server import messages as m

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANSWERS = (m.Answer, m.Subscribed, m.SetAnswer, m.SnapshotAnswer, m.HistoryAnswer, m.Refused)
_SAID_BY_SERVER: dict[str, tuple[type, ...]] = {
    "hello": (m.Hello,),
    "identified": (m.Identified,),
    "snapshot": (m.StreamSnapshot,),
    "event": (),  # every type of event; see `event_schema`
    "heartbeat": (m.Heartbeat,),
    "dropped": (m.Dropped,),
    "response": _ANSWERS,
}
_SAID_BY_CLIENT: dict[str, tuple[type, ...]] = {"identify": (m.Identify,), "request": tuple(m.REQUESTS.values())}


def event_schema(event_type: str, refs: str = "#/$defs/{name}") -> dict[str, Any]:
    """The schema of one type of event, whole; `refs` says where the parts of `data` are found."""
    fact = FACTS[event_type]
    (envelope,), _ = msgspec.json.schema_components([Envelope], ref_template="{name}")
    properties = dict(_definitions([Envelope], refs)[envelope["$ref"]]["properties"])
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
def json_schemas() -> dict[str, bytes]:
    """Standalone schemas by path: one for each type of event, and `event.json` for any of them."""
    schemas: dict[str, dict[str, Any]] = {
        f"/schemas/{name}.json": {**event_schema(name), "$defs": _definitions([fact], "#/$defs/{name}")}
        for name, fact in FACTS.items()
    }
    schemas["/schemas/event.json"] = {
        "oneOf": [event_schema(name) for name in FACTS],
        "$defs": _definitions(list(FACTS.values()), "#/$defs/{name}"),
    }
    return {path: msgspec.json.encode({"$schema": _DIALECT, "$id": path, **schema}) for path, schema in schemas.items()}


def asyncapi(host: str, *, secure: bool) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of a server at `host` (with its port)."""
    refs = "#/components/schemas/{name}"
    everything: list[type] = [*FACTS.values(), m.Error]
    for kinds in (*_SAID_BY_SERVER.values(), *_SAID_BY_CLIENT.values()):
        everything.extend(kinds)
    schemas = _definitions(everything, refs)
    messages: dict[str, Any] = {}
    for event_type in FACTS:
        schemas[event_type] = event_schema(event_type, refs)
    for op, kinds in (_SAID_BY_SERVER | _SAID_BY_CLIENT).items():
        names = [kind.__name__ for kind in kinds] if kinds else list(FACTS)
        payloads = [_payload(op, {"$ref": refs.format(name=name)}) for name in names]
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
            "say": _operation("send", _SAID_BY_SERVER),
            "hear": _operation("receive", _SAID_BY_CLIENT),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _operation(action: str, ops: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    channel = "#/channels/events"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{op}"} for op in ops],
    }


def _payload(op: str, d: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"op": {"const": op}, "d": d, **({"kept": {"const": False}} if op == "event" else {})},
        "required": ["op", "d"],
    }


def _definitions(kinds: list[type], refs: str) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(kinds, ref_template=refs)
    for kind in kinds:
        # A fact may gain fields; a request says its own `id` and, by its tag, its `type`.
        if issubclass(kind, Fact):
            definitions[kind.__name__]["additionalProperties"] = True
        elif kind in _SAID_BY_CLIENT["request"]:
            definition = definitions[kind.__name__]
            definition["properties"]["id"] = {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 200}]}
            definition["required"] = ["id", *definition["required"]]
        elif kind in (m.Subscribed, m.SetAnswer, m.SnapshotAnswer, m.HistoryAnswer, m.Refused, m.Answer):
            definition = definitions[kind.__name__]
            definition["properties"]["ok"] = {"const": kind is not m.Refused}
            definition["required"] = sorted({*definition.get("required", ()), "ok"})
    return definitions
