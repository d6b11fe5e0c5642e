"""What whoever holds the control token may ask of a real listening process, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from streamseg import subscribe_sync
from streamseg.wire.events import LabelNamed, SectionClosed
from tools.command import run, start
from tools.load.plain_client import Listener, client


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
        topics = ["meter", "stream"]
        async with client(port, token="only for us", subscribe=topics) as ours, client(port) as theirs:
            meter = await until(ours, "meter")
            for type, d in (
                ("name", {"label": "A", "name": "Talk"}),
                ("mark", {"t": 1.0, "verdict": "boundary"}),
                ("acknowledge", {"alarm": "silence"}),
                ("set", {"sensitivity": 0.7}),
                ("reset", {}),
                ("finish", {}),
            ):
                assert (await asked(theirs, type, **d))["error"]["code"] == 103

            # Nothing is called Z, and there is sound: what there is instead is said.
            assert "has said no label 'Z'" in (await asked(ours, "name", label="Z", name="Talk"))["error"]["message"]
            refused = (await asked(ours, "acknowledge", alarm="silence"))["error"]
            assert (refused["code"], "raised: none" in refused["message"]) == (600, True)

            # Taken or refused, as the source and the settings have it; never without an answer.
            marked = await asked(ours, "mark", t=1.0, verdict="boundary")
            assert marked["ok"] or marked["error"]["code"] == 205

            for wrong, code in ((1.1, 400), (-0.1, 400), ("high", 401)):
                assert (await asked(ours, "set", sensitivity=wrong))["error"]["code"] == code
            assert (await asked(ours, "set"))["error"]["code"] == 300
            answer = await asked(ours, "set", sensitivity=0.7)
            assert answer["ok"]
            assert (answer["sensitivity"], answer["effective"]) == (0.7, "next_epoch")

            await ours.say("request", {"id": 1, "type": "reset", "stream": "programme"})
            stopped = await until(ours, "stream.stopped")
            assert (stopped["epoch"], stopped["data"]["reason"]) == (meter["epoch"], "reset")
            started = await until(ours, "stream.started")
            assert (started["offset"], started["rev"]) == (1, 1)
            assert started["epoch"] > meter["epoch"]
            assert started["data"]["settings"]["sensitivity"] == 0.7

            await ours.say("request", {"id": 2, "type": "finish", "stream": "programme"})
            stopped = await until(ours, "stream.stopped")
            assert (stopped["epoch"], stopped["data"]["reason"]) == (started["epoch"], "stopped")
        code, _, messages = serving.stop()
    assert code == 0, messages
    assert "Traceback" not in messages


def test_a_name_outlives_the_run_in_which_it_was_given(programme: Path, programme_from_8_s: Path, tmp_path: Path):
    memory = tmp_path / "memory.sqlite"
    token = "only for us, and long"
    options = ("--port", "0", "--no-history", "--memory", memory, "--control-token", token)
    with start("serve", programme_from_8_s, *options) as serving:
        address = serving.wait_for_address()
        heard = iter(subscribe_sync(address, subscribe=["section", "label"]))  # one connection: nothing is kept here
        next(fact for event in heard if isinstance(fact := event.data, SectionClosed) and fact.label == "B")
        refused = run("name", address, "B", "Slow piece")
        assert refused.returncode == 1
        assert "`name` takes the control token; this client gave no token" in refused.stderr
        unknown = run("name", address, "Q", "Slow piece", "--token", token)
        assert unknown.returncode == 2
        assert "has said no label 'Q'; labels: A, B" in unknown.stderr.replace("\n", " ")
        named = run("name", address, "B", "Slow piece", "--token", token)
        assert named.returncode == 0, named.stderr
        assert "B is called Slow piece now" in named.stderr
        said = next(fact for event in heard if isinstance(fact := event.data, LabelNamed))
        assert (said.label, said.name) == ("B", "Slow piece")
        assert serving.stop()[0] == 0
    assert "Slow piece" in run("names", "--memory", memory).stdout

    events = [json.loads(line) for line in run("analyze", programme, "--memory", memory).stdout.splitlines()]
    closed = [event["data"] for event in events if event["type"] == "streamseg.section.closed.v1"]
    assert [section["name"] for section in closed] == [None, "Slow piece", None, None, None, "Slow piece"]

    assert run("names", "--memory", memory, "--forget", "Slow piece").returncode == 0
    assert "Slow piece" not in run("names", "--memory", memory).stdout
