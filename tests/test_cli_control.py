"""What whoever holds the control token may ask of a real listening process, and nobody else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from command import start
from load.listener import Listener, client


async def asked(listener: Listener, type: str, **d) -> dict:
    """The answer to a request about our one stream."""
    return await listener.ask(type, stream="programme", **d)


async def until(listener: Listener, event_type: str) -> dict:
    """The next event of this type."""
    while (event := await listener.wait_for("event", 60))["type"] != f"streamseg.{event_type}.v1":
        pass
    return event


async def test_everything_that_can_be_asked(programme: Path):
    arguments = ("serve", programme, "--port", "0", "--no-history", "--stay", "--control-token", "only for us")
    with start(*arguments) as serving:
        port = urlsplit(serving.wait_for_address()).port
        topics = ["meter", "stream", "label", "alarm"]
        async with client(port, token="only for us", subscribe=topics) as ours, client(port) as theirs:
            meter = await until(ours, "meter")
            for type, d in (
                ("name", {"label": "A", "name": "Talk"}),
                ("mark", {"t": 1.0, "verdict": "boundary"}),
                ("acknowledge", {"alarm": "silence"}),
                ("reset", {}),
                ("finish", {}),
            ):
                assert (await asked(theirs, type, **d))["error"]["code"] == 103

            await ours.say("request", {"id": 1, "type": "name", "stream": "programme", "label": "A", "name": "Talk"})
            named = await until(ours, "label.named")
            assert (named["data"]["label"], named["data"]["name"]) == ("A", "Talk")

            d = {"stream": "programme", "alarm": "silence"}
            await ours.say("request", {"id": 2, "type": "acknowledge", **d})
            assert (await until(ours, "alarm.acknowledged"))["data"]["alarm"] == "silence"

            # Taken or refused, as the source and the settings have it; never without an answer.
            marked = await asked(ours, "mark", t=1.0, verdict="boundary")
            assert marked["ok"] or marked["error"]["code"] == 205

            await ours.say("request", {"id": 3, "type": "reset", "stream": "programme"})
            stopped = await until(ours, "stream.stopped")
            assert (stopped["epoch"], stopped["data"]["reason"]) == (meter["epoch"], "reset")
            started = await until(ours, "stream.started")
            assert (started["offset"], started["rev"]) == (1, 1)
            assert started["epoch"] > meter["epoch"]

            await ours.say("request", {"id": 4, "type": "finish", "stream": "programme"})
            stopped = await until(ours, "stream.stopped")
            assert (stopped["epoch"], stopped["data"]["reason"]) == (started["epoch"], "stopped")
        code, _, messages = serving.stop()
    assert code == 0, messages
    assert "Traceback" not in messages
