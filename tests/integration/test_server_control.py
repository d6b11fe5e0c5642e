"""Control: what a client may ask of a stream, and what is refused with what there is."""

from __future__ import annotations

import time

import msgspec
import pytest

from streamseg.server import Hub, serve
from streamseg.server.label_alarm_registry import LabelAndAlarmRegistry, UnknownLabelOrAlarmError
from streamseg.wire import events as e
from streamseg.wire.envelope import EventSequencer
from tools.load.event_feed import Feed
from tools.load.plain_client import client


async def test_control_reaches_whoever_feeds_the_stream():
    hub = Hub()
    feed = Feed(hub)
    async with serve(hub, port=0, control_token="secret") as server, client(server.port, token="secret") as listener:
        assert listener.identified["role"] == "control"
        assert (await listener.ask("mark", stream="mic", t=3.5, verdict="reject"))["ok"]
        assert (await listener.ask("reset", stream="mic"))["ok"]
        await listener.events(len(feed.publish(*feed.talker.change())))
        await listener.say("request", {"id": 2, "type": "name", "stream": "mic", "label": "A", "name": "news"})
        (named,) = [d for d in await listener.events(1) if d["type"] == e.LabelNamed.type]
        assert named["data"]["name"] == "news"
        assert (await listener.wait_for("response"))["id"] == 2
        assert feed.asked[:2] == [("mark", 3.5, "reject"), ("reset",)]
        hub.remove_stream_controls("mic")
        refused = await listener.ask("finish", stream="mic")
        assert (refused["ok"], refused["error"]["code"]) == (False, 205)
        refused = await listener.ask("name", stream="mic", label="A", name="news")
        assert "stream 'mic' has ended; labels can be named" in refused["error"]["message"]
        assert "while it plays" in refused["error"]["message"]
        hub.add_stream("mic", feed.sequencer.epoch, feed)  # it is fed again
        assert (await listener.ask("mark", stream="mic", t=3.5, verdict="reject"))["ok"]


async def test_what_does_not_exist_is_refused_with_what_does():
    """A name for a label that was never said in this epoch, and notice of an alarm that is not raised."""
    hub = Hub()
    feed = Feed(hub)

    async def refusal(type: str, **d) -> str:
        answer = await listener.ask(type, stream="mic", **d)
        assert (answer["ok"], answer["error"]["code"]) == (False, 600)
        return answer["error"]["message"]

    def update(label: str) -> e.Event:
        section = {"section_id": "s-9", "name": None, "seen_before": False, "last_seen": None}
        return e.Event("s-9", e.SectionUpdated(label=label, label_probabilities={}, **section))

    async with serve(hub, port=0, control_token="secret") as server, client(server.port, token="secret") as listener:
        feed.publish(feed.talker.start())
        assert "labels: none yet" in await refusal("name", label="A", name="news")
        assert "raised: none yet" in await refusal("acknowledge", alarm="silence")
        feed.publish(*(update(label) for label in ("B", "AA", "C")))
        feed.publish(e.Event("s-1", e.SectionRelabelled(section_id="s-1", label="B", previous="D")))
        feed.publish(e.Event("clipping", e.AlarmRaised(alarm="clipping", since=1.0, level_db=0.0)))
        assert "labels: B, C, D, AA" in await refusal("name", label="A", name="news")
        assert "raised: clipping" in await refusal("acknowledge", alarm="silence")
        assert feed.asked == []
        for label in ("B", "D", "AA"):  # a label that was joined to another still names its sections
            feed.publish(update("C"))
            assert (await listener.ask("name", stream="mic", label=label, name="news"))["ok"]
        assert (await listener.ask("acknowledge", stream="mic", alarm="clipping"))["ok"]
        feed.publish(e.Event("clipping", e.AlarmCleared(alarm="clipping", since=1.0, level_db=-3.0)))
        assert "raised: none" in await refusal("acknowledge", alarm="clipping")
        feed.request_new_epoch()
        assert "labels: none yet" in await refusal("name", label="B", name="news")


def test_labels_that_can_be_named_are_bounded():
    subjects = LabelAndAlarmRegistry()
    sequencer = EventSequencer("mic", "E", time.time)
    talker = Feed(Hub()).talker
    _, closed = talker.change()
    for n in range(1500):
        (said,) = sequencer.stamp_events([e.Event("s", msgspec.structs.replace(closed.data, label=f"L{n}"))])
        subjects.apply_event(said)
    subjects.require_label("mic", "L500")
    with pytest.raises(UnknownLabelOrAlarmError, match=r"L500, L501, .* and 970 more"):
        subjects.require_label("mic", "L499")
