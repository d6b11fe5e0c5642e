"""What a full run says is what the machine-readable documents promise, and the official SDK reads our events."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from cloudevents.core.bindings.common import get_event_factory_for_version
from cloudevents.core.formats.json import JSONFormat

from streamseg.server import Hub, serve
from streamseg.settings import ServerSettings
from streamseg.wire import events as e
from streamseg.wire import token_proof
from streamseg.wire.envelope import EventSequencer, encode_envelope
from streamseg.wire.schemas import make_asyncapi_document, make_event_schemas
from tools.load.event_feed import Feed
from tools.load.plain_client import stranger

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def one_of_each() -> list[e.Event]:
    """Every type of event there is."""
    facts = [
        e.StreamStarted(
            sample_rate=22050, channels=2, source="x", profile="dj", settings={"a": 1}, latency_s=0.1, hashes={"s": "0"}
        ),
        e.StreamGap(t=1.0, missing_s=0.5, cause="overflow"),
        e.StreamLost(t=2.0, reason="unplugged"),
        e.StreamResumed(t=2.0, away_s=3.0),
        e.StreamStopped(t=3.0, reason="end", totals={"events": 3}),
        e.StreamTitle(t=3.0, title="Ä ☃ </script>"),
        e.BoundaryProvisional(boundary_id="b", t=1, decided_t=2, stability=0.5, score=3),
        e.BoundaryConfirmed(
            boundary_id="b",
            t=1,
            decided_t=2,
            t_uncertainty=0.1,
            confidence=1,
            evidence=e.FeatureDistances(timbre=0, harmony=0, rhythm=0, level=1),
            snapped_to="level",
            prev=e.PreviousSection(section_id="s", label=None),
            next=e.NextSection(section_id="s2", label="A", seen_before=True, last_seen=0.0),
        ),
        e.BoundaryRetracted(boundary_id="b", decided_t=3.0),
        e.SectionUpdated(
            section_id="s", label="A", name="n", label_probabilities={"A": 1}, seen_before=False, last_seen=None
        ),
        e.SectionClosed(
            section_id="s",
            start=0,
            end=1,
            ended_by="gap",
            label=None,
            name=None,
            label_confidence=None,
            report=e.Report(duration_s=1, pitch_range_hz=(1.0, 2.0), chroma=tuple([0.0] * 12)),
        ),
        e.SectionRelabelled(section_id="s", label="A", previous="B"),
        e.SoundChanged(
            t=1,
            decided_t=2,
            speech=True,
            music=True,
            silence=False,
            confidence=e.SoundConfidence(speech=1, music=1, silence=0),
        ),
        e.AlarmRaised(alarm="silence", since=1, level_db=None),
        e.AlarmCleared(alarm="silence", since=1, level_db=-60),
        e.AlarmAcknowledged(alarm="silence", by="me"),
        e.LabelNamed(label="A", name="news", by="me"),
        e.HistoryFailed(reason="full", since="2026-11-22T17:03:11.214Z"),
        e.HistoryRestored(reason="full", since="2026-11-22T17:03:11.214Z"),
        e.MeterReading(t=1, rms_db=None, peak_db=-1),
        e.Novelty(t=1, value=0, threshold=1, label=None, label_probabilities={}),
    ]
    assert {type(fact) for fact in facts} == set(e.EVENT_TYPES.values())
    return [e.Event("subject", fact) for fact in facts]


def envelopes():
    return EventSequencer("mic", "01JD0000000000000000000000", lambda: 1.6e9).stamp_events(one_of_each())


def validator(schema: dict) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("envelope", envelopes(), ids=lambda envelope: envelope.type)
def test_every_event_is_what_its_schema_says(envelope):
    said = json.loads(encode_envelope(envelope))
    schemas = {path: json.loads(text) for path, text in make_event_schemas().items()}
    own = schemas[f"/schemas/{envelope.type}.json"]
    assert own["$schema"] == DIALECT
    validator(schemas["/schemas/event.json"]).validate(said)
    check = validator(own)
    check.validate(said)
    for field in ("id", "data", "epoch"):
        assert not check.is_valid({key: value for key, value in said.items() if key != field})
    assert not check.is_valid({**said, "type": "streamseg.weather.v1"})
    assert not check.is_valid({**said, "data": {}})


@pytest.mark.parametrize("envelope", envelopes(), ids=lambda envelope: envelope.type)
def test_the_official_sdk_reads_every_event(envelope):
    read = JSONFormat().read(get_event_factory_for_version("1.0"), encode_envelope(envelope))
    assert read.get_id() == envelope.id
    assert read.get_type() == envelope.type
    assert read.get_source() == "/streams/mic"
    assert read.get_subject() == "subject"
    assert read.get_time().isoformat() == "2020-09-13T12:26:40+00:00"
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("epoch") == envelope.epoch
    assert read.get_extension("rev") == envelope.rev
    assert read.get_data() == json.loads(encode_envelope(envelope))["data"]
    # Attribute names as CloudEvents 1.0 wants them: lower-case letters and digits.
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in json.loads(encode_envelope(envelope)))


def test_the_asyncapi_document_hangs_together():
    document = make_asyncapi_document("127.0.0.1:8765", secure=False)
    text = json.dumps(document)
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', text))
    assert len(references) > len(e.EVENT_TYPES)
    for ref in references:
        found = document
        for part in ref.split("/"):
            found = found[part]
    assert document["asyncapi"] == "3.0.0"
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}
    assert set(document["components"]["messages"]) == {
        "hello", "identified", "snapshot", "event", "heartbeat", "dropped", "response", "identify", "request",
    }  # fmt: skip


async def test_every_message_of_a_full_run_is_in_the_asyncapi_document(tmp_path):
    document = make_asyncapi_document("127.0.0.1:8765", secure=False)
    checks = {
        op: validator({**message["payload"], "components": document["components"]})
        for op, message in document["components"]["messages"].items()
    }
    hub = Hub(ServerSettings(heartbeat_s=0.05), history=tmp_path / "history.sqlite")
    feed = Feed(hub)
    heard: list[dict] = []

    async def hear_until(op: str) -> dict:
        while True:
            message = await listener.hear()
            heard.append(message)
            if message["op"] == op:
                return message["d"]

    async def say(op: str, d: dict) -> None:
        checks[op].validate({"op": op, "d": d})
        await listener.say(op, d)

    async with serve(hub, port=0, control_token="c") as server, stranger(server.port) as listener:
        heard.append({"op": "hello", "d": listener.hello})
        identify = {
            "protocol": 1,
            "client": "test",
            "auth": token_proof.compute_proof("c", listener.hello["auth"]["challenge"]),
            "streams": ["mic"],
            "subscribe": ["boundary", "section", "sound", "alarm", "stream", "label", "history", "meter", "novelty"],
            "min_state": "provisional",
            "resume": {"mic": {"epoch": feed.sequencer.epoch, "offset": 0}},
        }
        await say("identify", identify)
        await hear_until("identified")
        feed.publish(*one_of_each())
        raised = e.Event("silence", e.AlarmRaised(alarm="silence", since=0.0, level_db=None))
        feed.publish(*feed.talker.change(), raised)  # so that there is something to name and to take notice of
        while (await hear_until("event"))["id"] != feed.said[-1].id:
            pass
        await hear_until("heartbeat")
        requests = [
            {"type": "subscribe", "subscribe": ["meter"]},
            {"type": "unsubscribe", "subscribe": ["meter"]},
            {"type": "snapshot", "stream": "mic"},
            {"type": "history", "stream": "mic", "epoch": feed.sequencer.epoch, "from": 1, "to": 99},
            {"type": "name", "stream": "mic", "label": "A", "name": "news"},
            {"type": "mark", "stream": "mic", "t": 1.0, "verdict": "boundary"},
            {"type": "acknowledge", "stream": "mic", "alarm": "silence"},
            {"type": "set", "stream": "mic", "sensitivity": 1},
            {"type": "reset", "stream": "mic"},
            {"type": "finish", "stream": "mic"},
        ]
        for id_, request in enumerate(requests):
            await say("request", {"id": id_, **request})
            assert (await hear_until("response"))["ok"]
        await listener.say("request", {"id": "x", "type": "weather"})
        assert not (await hear_until("response"))["ok"]
        await hear_until("heartbeat")
        await hear_until("heartbeat")
    heard.append({"op": "dropped", "d": {"type": "meter", "n": 3}})
    for message in heard:
        checks[message["op"]].validate(message)
    assert {message["op"] for message in heard} == {
        "hello", "identified", "event", "heartbeat", "dropped", "response",
    }  # fmt: skip
    assert {m["d"]["type"] for m in heard if m["op"] == "event"} == set(e.EVENT_TYPES)
    for wrong in ({"op": "hello", "d": {}}, {"op": "heartbeat", "d": {"streams": {"mic": {}}}}):
        assert not checks[wrong["op"]].is_valid(wrong)


async def test_snapshots_that_follow_are_in_the_asyncapi_document():
    document = make_asyncapi_document("127.0.0.1:8765", secure=False)
    hub = Hub(ServerSettings(max_queue_bytes=4096))
    for name in ("mic", "line"):
        feed = Feed(hub, name)
        feed.publish(feed.talker.start(), *(event for _ in range(20) for event in feed.talker.say()))
    async with serve(hub, port=0) as server, stranger(server.port) as listener:
        identified = await listener.identify()
        followed = [await listener.wait_for("snapshot") for _ in hub.streams]
    for op, d in [("identified", identified), *(("snapshot", d) for d in followed)]:
        payload = document["components"]["messages"][op]["payload"]
        validator({**payload, "components": document["components"]}).validate({"op": op, "d": d})
    assert not any("snapshot" in at for at in identified["streams"].values())
    assert {d["stream"] for d in followed} == {"mic", "line"}
