"""A second look at a section, from the sound to whoever listens: `section.relabelled` end to end."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from streamseg.sources.demo_programme import SAMPLE_RATE, list_demo_scenes, render_programme
from tools.command import run, start
from tools.load.plain_client import client

# Returning is held for next to impossible, so what comes back is called new, until what follows it was heard too.
SETTINGS = ("--profile", "broadcast", "--set", "label_returning=0.000001")


@pytest.fixture(scope="module")
def longer(tmp_path_factory) -> Path:
    """The demo's programme, in which the slow piece comes back at the end, and after it two scenes more."""
    samples = render_programme()
    rain, dance = list_demo_scenes()[2:4]
    path = tmp_path_factory.mktemp("sound") / "longer.wav"
    more = samples[round(rain.start_s * SAMPLE_RATE) : round(dance.end_s * SAMPLE_RATE)]
    soundfile.write(path, np.concatenate([samples, more]), SAMPLE_RATE, subtype="FLOAT")
    return path


def test_it_is_printed_and_every_format_has_the_later_word(longer: Path, tmp_path: Path):
    events = tmp_path / "events.jsonl"
    done = run("analyze", longer, *SETTINGS, "-o", events)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in events.read_text().splitlines()]
    at, relabelled = next((i, one) for i, one in enumerate(said) if one["type"] == "streamseg.section.relabelled.v1")
    assert relabelled["subject"] == relabelled["data"]["section_id"] == "s-6"
    assert (relabelled["data"]["label"], relabelled["data"]["previous"]) == ("B", "F")
    closed = {one["subject"]: i for i, one in enumerate(said) if one["type"] == "streamseg.section.closed.v1"}
    assert closed["s-6"] < closed["s-7"] < at
    assert said[closed["s-6"]]["data"]["label"] == "F"
    labels = [line.split("\t")[2] for line in run("export", events, "--format", "audacity").stdout.splitlines()]
    assert labels[1] == "B 1"
    assert labels[5] == "B 2"


async def test_it_reaches_a_listener_and_whoever_comes_later(longer: Path):
    with start("serve", longer, "--fast", "--stay", "--no-history", "--port", "0", *SETTINGS) as serving:
        port = urlsplit(serving.wait_for_address()).port
        async with client(port, subscribe=["section", "stream"]) as listener:
            state = listener.identified["streams"]["longer"]["snapshot"]
            labels = {section["section_id"]: section["label"] for section in state["recent"]}
            heard = {}
            while state["state"] != "stopped" and heard.get("type") != "streamseg.stream.stopped.v1":
                heard = await listener.wait_for("event", 60)
                if heard["type"].startswith(("streamseg.section.closed.", "streamseg.section.relabelled.")):
                    labels[heard["subject"]] = heard["data"]["label"]
            assert (labels["s-2"], labels["s-6"]) == ("B", "B")
        async with client(port, subscribe=["section"]) as late:
            recent = late.identified["streams"]["longer"]["snapshot"]["recent"]
        assert [section["label"] for section in recent if section["section_id"] in ("s-2", "s-6")] == ["B", "B"]
        assert serving.stop()[0] == 0
